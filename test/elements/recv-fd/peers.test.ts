import { closeSync, openSync, statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Mechanism, PathSegment, pathOf } from "../../../src/api/index.js";
import {
  Code,
  NsmError,
  peer,
  type Context,
  type NetworkServiceElement,
  type PeerProcess,
} from "../../../src/core/index.js";
import { transportConnection } from "../../../src/core/transport-connection.js";
import { callersNamespace, recvFdClient, recvFdServer } from "../../../src/elements/recv-fd/index.js";
import { RequestFiles, requestFiles } from "../../../src/elements/request-files/index.js";
import { serverPeer } from "../../../src/outbound/index.js";
import { recorder, run, sampleRequest } from "../../../src/testing/index.js";

const { dev, ino } = statSync("/proc/self/ns/net", { bigint: true });
const ownUrl = `inode://${dev}/${ino}`;

/** A process that lives in the namespace of this one. */
const neighbor: PeerProcess = {
  pid: process.pid,
  openNetworkNamespace: () => openSync("/proc/self/ns/net", "r"),
};
/** A process that this one may not inspect. */
const stranger: PeerProcess = {
  pid: 0,
  openNetworkNamespace: () => {
    throw new NsmError(Code.PermissionDenied, "not allowed");
  },
};

const mechanism = (inodeURL: string): Mechanism =>
  Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { inodeURL } });

/** Sends a Request with that namespace from a process on a unix socket, with these descriptors. */
function from(
  process: PeerProcess | undefined,
  sent: Record<string, string> = {},
  first: readonly NetworkServiceElement[] = [callersNamespace()],
) {
  const seen = recorder();
  const held: (string | undefined)[] = [];
  const { ctx, clock, send, leftovers } = run([
    ...first,
    recvFdServer(),
    {
      name: "holder",
      request(ctx, request, next) {
        const url = request.mechanismPreferences[0]!.parameters["inodeURL"]!;
        held.push(ctx.get(requestFiles)?.received(url)?.lastingPath);
        return next.request(ctx, request);
      },
    },
    seen,
  ]);
  const attachments = {
    send: () => {},
    receive: async (url: string, signal: AbortSignal): Promise<number> => {
      if (sent[url]) return openSync(sent[url], "r");
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
    },
  };
  const connection = transportConnection({
    kind: "unix",
    address: "unix",
    local: true,
    ...(process && { attachments, process }),
  });
  const caller: Context = ctx.with(peer, { address: "unix", local: true, connection });
  return {
    held,
    leftovers,
    clock,
    urls: () => seen.requests.map((it) => it.mechanismPreferences[0]!.parameters["inodeURL"]),
    ask: (url: string) =>
      send({ ...sampleRequest(clock.now()), mechanismPreferences: [mechanism(url)] }, caller),
  };
}

/** Asks a server in that process, which answers with that namespace, itself or for an endpoint behind it. */
function answering(process: PeerProcess, hops: number) {
  const files = new RequestFiles();
  const { ctx, clock, send } = run([
    recvFdClient(),
    {
      name: "server",
      async request(ctx, request, next) {
        const answer = await next.request(ctx, request);
        const connection = transportConnection({
          kind: "unix",
          address: "unix",
          local: true,
          attachments: {
            send: () => {},
            receive: async (_url, signal) =>
              new Promise((_, reject) => {
                const abort = (): void => reject(signal.reason as Error);
                if (signal.aborted) abort();
                signal.addEventListener("abort", abort, { once: true });
              }),
          },
          process,
        });
        ctx.get(serverPeer)!.current = { address: "unix", local: true, connection };
        const { index } = pathOf(answer);
        const pathSegments = Array.from({ length: index + 1 + hops }, (_, i) =>
          PathSegment.create({ name: `hop-${i}`, id: answer.id }),
        );
        return { ...answer, mechanism: mechanism(ownUrl), path: { index, pathSegments } };
      },
    },
  ]);
  return {
    clock,
    close: () => files.close(),
    held: () => files.received(ownUrl) !== undefined,
    ask: () => send(sampleRequest(clock.now()), ctx.with(requestFiles, files)),
  };
}

describe("recv-fd and the process at the other end", () => {
  test("accepts the namespace that the process lives in without a descriptor, and knows its path", async () => {
    const { ask, held } = from(neighbor);
    await ask(ownUrl);
    expect(held).toEqual([`/proc/${process.pid}/ns/net`]);
  });

  test("rejects the namespace that a hop in between lives in, unless a descriptor comes", async () => {
    const { ask, clock, urls } = from(neighbor, {}, []);
    const failed = expect(ask(ownUrl)).rejects.toMatchObject({ code: Code.Unavailable });
    await clock.advance(5_000);
    await failed;
    expect(urls()).toEqual([]);
    await expect(from(neighbor, { [ownUrl]: "/proc/self/ns/net" }, []).ask(ownUrl)).resolves.toBeDefined();
  });

  test.each([
    ["takes", "its own", 1],
    ["does not take", "that of the hop before it", 2],
  ])("%s the namespace that an answer names as %s", async (_what, _whose, hops) => {
    const { ask, clock, held, close } = answering(neighbor, hops);
    const answered = Promise.allSettled([ask()]);
    await clock.advance(5_000);
    const [{ status }] = await answered;
    expect([status, held()]).toEqual(hops === 1 ? ["fulfilled", true] : ["rejected", false]);
    close();
  });

  test.each(["file:///proc/self/ns/net", "file:///proc/thread-self/ns/net"])(
    "takes %s for the namespace that the process lives in",
    async (url) => {
      const { ask, urls } = from(neighbor);
      await ask(url);
      expect(urls()).toEqual([ownUrl]);
    },
  );

  test.each([
    "file:///proc/1/ns/net",
    "file:///proc/self/fd/3",
    "file:///proc/self/ns/mnt",
    "file:///proc/self/ns/net/..",
    "file:///run/netns/blue",
  ])("leaves the path %s as it is", async (url) => {
    const { ask, urls, held } = from(neighbor);
    await ask(url);
    expect([urls(), held]).toEqual([[url], [undefined]]);
  });

  test("leaves a path as it is if it may not inspect the process, or if the caller is on TCP", async () => {
    for (const process of [stranger, undefined]) {
      const { ask, urls } = from(process);
      await ask("file:///proc/self/ns/net");
      expect(urls()).toEqual(["file:///proc/self/ns/net"]);
    }
  });

  test("rejects the namespace of the machine from a process that lives elsewhere, though it has a descriptor", async () => {
    const { ask, urls, leftovers } = from(stranger, { [ownUrl]: "/proc/self/ns/net" });
    await expect(ask(ownUrl)).rejects.toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringContaining(`the network namespace ${ownUrl} belongs to the machine`),
    });
    expect([urls(), leftovers()]).toEqual([[], {}]);
  });

  test("rejects the first namespace of the kernel too, which this process need not see", async () => {
    const first = `inode://${dev}/${0xefff_fff9}`;
    await expect(from(stranger, { [first]: "/dev/null" }).ask(first)).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
  });

  test("rejects it from no process that lives there", async () => {
    const { ask } = from(neighbor, { [ownUrl]: "/proc/self/ns/net" });
    await expect(ask(ownUrl)).resolves.toMatchObject({ id: expect.any(String) });
  });

  test("closes what it received when the Request has ended", async () => {
    const before = openSync("/dev/null", "r");
    closeSync(before);
    const { ask } = from(neighbor);
    await ask(ownUrl);
    const after = openSync("/dev/null", "r");
    closeSync(after);
    expect(after).toBe(before);
  });
});
