import { Code, codeOf } from "../../core/index.js";
import { type NetlinkSocket, netlinkRefusal } from "../netlink/socket.js";
import { byGroup, linkAttributes, linkHeader, RTM_DELLINK, RTM_NEWLINK } from "./link-codec.js";

/** The group of links that are about to be removed together. */
const condemned = 0x6e736d7f;

interface Removal {
  readonly index: number;
  done(): void;
  failed(error: unknown): void;
}

/**
 * Removes links by index. For the kernel, removing one link takes as long as removing a group of a hundred.
 * Removals that arrive while one is in progress therefore wait and run together in the next one.
 */
export function linkRemoval(socket: NetlinkSocket): (index: number) => Promise<void> {
  let waiting: Removal[] = [];
  let running = false;

  async function removeOne({ index, done, failed }: Removal, marked = false): Promise<void> {
    const request = { type: RTM_DELLINK, flags: 0, header: linkHeader({ index }) };
    await socket.longRequest(`delete link ${index}`, request).then(done, (error: unknown) => {
      if (marked && codeOf(error) === Code.NotFound) done();
      else failed(error);
    });
  }

  async function removeTogether(removals: readonly Removal[]): Promise<void> {
    const marked = await mark(removals);
    if (marked.length === 0) return;
    const request = { type: RTM_DELLINK, flags: 0, header: linkHeader(), attributes: [byGroup(condemned)] };
    try {
      await socket.longRequest(`delete ${marked.length} links`, request);
      for (const { done } of marked) done();
    } catch {
      // The kernel rejects the whole group if one link cannot be removed. Then each link is removed on its
      // own.
      await Promise.all(marked.map((removal) => removeOne(removal, true)));
    }
  }

  async function mark(removals: readonly Removal[]): Promise<Removal[]> {
    const requests = removals.map(({ index }) => ({
      type: RTM_NEWLINK,
      flags: 0,
      header: linkHeader({ index }),
      attributes: linkAttributes({ group: condemned }),
    }));
    const answers = await socket.batch("mark links for removal", requests);
    return removals.filter(({ index, failed }, i) => {
      const end = answers[i]?.end;
      if (!end || end.errno === 0) return true;
      failed(netlinkRefusal(`delete link ${index}`, socket.namespace, end));
      return false;
    });
  }

  async function run(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const removals = waiting;
      waiting = [];
      const [first, ...others] = removals;
      const removed = others.length > 0 ? removeTogether(removals) : removeOne(first!);
      await removed.catch((error: unknown) => removals.forEach(({ failed }) => failed(error)));
    }
    running = false;
  }

  return (index) =>
    new Promise((done, failed) => {
      waiting.push({ index, done, failed });
      if (!running) void run();
    });
}
