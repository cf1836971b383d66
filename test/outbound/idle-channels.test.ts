import { createServer, type AddressInfo, type Server as TcpServer } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Connection, NetworkServiceRequest } from "../../src/api/index.js";
import { Code, codeOf, Context } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes, type GrpcRemotes } from "../../src/outbound/index.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";
import { openSockets, socketsDownTo } from "./grpc-kit.js";
import { tcpProxy } from "./tcp-proxy.js";

const identity = insecureIdentity();
const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
const MINUTE = 60_000;

describe("unused remotes", () => {
  const ctx = Context.background();
  let before: number;
  let clock: VirtualClock;
  let remotes: GrpcRemotes;
  const call = (url: string): Promise<unknown> =>
    remotes
      .to(url)
      .networkService.request(ctx, request)
      .then(() => "answered", codeOf);

  beforeEach(() => {
    before = openSockets();
    clock = virtualClock(Date.now());
    remotes = grpcRemotes({ identity, clock });
  });
  afterEach(async () => {
    remotes.close();
    expect(clock.timers).toBe(0);
    await socketsDownTo(before);
  });

  const serve = (): Promise<Server> =>
    grpcServer({
      identity,
      listenOn: ["tcp://127.0.0.1:0"],
      graceMs: 0,
      services: {
        networkService: { request: async (_ctx, { connection }) => connection!, close: async () => {} },
      },
    });

  test("close their connection after ten minutes, and open another for the next call", async () => {
    const server = await serve();
    const proxy = await tcpProxy(Number(new URL(server.listenOn[0]!).port));
    expect(await call(proxy.url)).toBe("answered");
    await clock.advance(9 * MINUTE);
    expect(await call(proxy.url)).toBe("answered");
    await clock.advance(9 * MINUTE);
    expect(proxy.accepted).toBe(1);
    await clock.advance(2 * MINUTE);
    await proxy.empty();

    expect(await call(proxy.url)).toBe("answered");
    expect(proxy.accepted).toBe(2);
    await proxy.close();
    await server.close();
  });

  test("serve those who still hold them, and are closed with the others", async () => {
    const server = await serve();
    const proxy = await tcpProxy(Number(new URL(server.listenOn[0]!).port));
    const { networkService } = remotes.to(proxy.url);
    await networkService.request(ctx, request);
    await clock.advance(11 * MINUTE);
    await networkService.request(ctx, request);
    remotes.close();
    await proxy.empty();
    await expect(networkService.request(ctx, request)).rejects.toMatchObject({ code: Code.Cancelled });
    await proxy.close();
    await server.close();
  });

  test("do not keep dialing an address that does not answer", async () => {
    const dead = await resettingListener();
    expect(await call(dead.url)).toBe(Code.Unavailable);
    await clock.advance(6_000);
    const { dials } = dead;
    // Dialing went on five times a second. One dial may still be under way, or in the last pause before it.
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(dead.dials - dials).toBeLessThanOrEqual(1);
    expect(await call(dead.url)).toBe(Code.Unavailable);
    await dead.close();
  });

  test("are forgotten", async () => {
    const server = await serve();
    const url = server.listenOn[0]!;
    await call(url);
    const remote = new WeakRef(remotes.to(url));
    await clock.advance(11 * MINUTE);
    await socketsDownTo(before + 1);
    setFlagsFromString("--expose_gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    // A WeakRef holds on to what it refers to until the current turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(remote.deref()).toBeUndefined();
    await server.close();
  });
});

/** Takes connections and breaks them at once. */
async function resettingListener(): Promise<{
  readonly url: string;
  readonly dials: number;
  close(): Promise<void>;
}> {
  let dials = 0;
  const listener: TcpServer = createServer((socket) => {
    dials++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get dials() {
      return dials;
    },
    close: () => new Promise((resolve) => listener.close(() => resolve())),
  };
}
