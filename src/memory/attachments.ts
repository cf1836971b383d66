import type { Attachments, Clock, Peer } from "../core/index.js";
import { attachedPair, type AttachedPair } from "../linux/index.js";

/** The ways of one caller's descriptors, to each server and back; made for the first call with attachments. */
export class MemoryAttachments<Server extends object> {
  private readonly pairs = new Map<Server, AttachedPair>();

  constructor(private readonly clock: Clock) {}

  /** The caller's end and the server's; none where descriptors cannot be passed. */
  endsTo(server: Server): AttachedPair["ends"] | undefined {
    const pair = this.pairs.get(server) ?? attachedPair(this.clock);
    if (pair) this.pairs.set(server, pair);
    return pair?.ends;
  }

  /** Nobody takes what is left on the ways to that server, or to all. */
  close(server?: Server): void {
    for (const [one, pair] of this.pairs) {
      if (server !== undefined && one !== server) continue;
      pair.close();
      this.pairs.delete(one);
    }
  }
}

/** The same peer, where descriptors reach it by that end. */
export function reachedBy(peer: Peer, attachments: Attachments | undefined): Peer {
  return attachments && peer.connection ? { ...peer, connection: { ...peer.connection, attachments } } : peer;
}
