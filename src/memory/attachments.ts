import type { Attachments, Clock, Peer } from "../core/index.js";
import { attachedPair, type AttachedPair } from "../linux/sockets/attachments.js";

/** The descriptor channels between one caller and each server. Created by the first call with attachments. */
export class MemoryAttachments<Server extends object> {
  private readonly pairs = new Map<Server, AttachedPair>();

  constructor(private readonly clock: Clock) {}

  /** The caller's end and the server's end. Undefined where the platform cannot pass descriptors. */
  endsTo(server: Server): AttachedPair["ends"] | undefined {
    const pair = this.pairs.get(server) ?? attachedPair(this.clock);
    if (pair) this.pairs.set(server, pair);
    return pair?.ends;
  }

  /** Closes the channels to that server, or all channels. Descriptors still in transit are closed. */
  close(server?: Server): void {
    for (const [one, pair] of this.pairs) {
      if (server !== undefined && one !== server) continue;
      pair.close();
      this.pairs.delete(one);
    }
  }
}

/** Returns the same peer, with the channel over which descriptors reach it. */
export function reachedBy(peer: Peer, attachments: Attachments | undefined): Peer {
  return attachments && peer.connection ? { ...peer, connection: { ...peer.connection, attachments } } : peer;
}
