import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NEVER } from "rxjs";
import { Connection, MonitorScopeSelector, NetworkServiceRequest } from "../../src/api/index.js";
import { Code, codeOf, Context, explain } from "../../src/core/index.js";
import { insecureIdentity, type Identity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { openSockets, socketsDownTo } from "./grpc-kit.js";
import { tcpProxy, type TcpProxy } from "./tcp-proxy.js";
import { tlsIdentities } from "./tls-identities.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });

describe.each(["insecure", "TLS"])("a connection (%s) whose other end vanishes silently", (kind) => {
  const ctx = Context.background();
  let before: number;
  let proxy: TcpProxy;
  let server: Server;
  let identities: Identity[];

  beforeEach(async () => {
    before = openSockets();
    const { identityOf } = tlsIdentities();
    identities =
      kind === "TLS"
        ? await Promise.all([identityOf!("client"), identityOf!("server")])
        : [insecureIdentity(), insecureIdentity()];
    server = await grpcServer({
      identity: identities[1]!,
      listenOn: ["tcp://127.0.0.1:0"],
      graceMs: 0,
      services: {
        networkService: {
          request: (c, { connection }) =>
            connection!.id === "slow"
              ? new Promise((_resolve, reject) =>
                  c.signal.addEventListener("abort", () => reject(c.signal.reason)),
                )
              : Promise.resolve(connection!),
          close: async () => {},
        },
        monitor: { monitorConnections: () => NEVER },
      },
    });
    proxy = await tcpProxy(Number(new URL(server.listenOn[0]!).port));
  });
  afterEach(async () => {
    await server.close();
    await proxy.close();
    await socketsDownTo(before);
    identities.forEach((identity) => identity.close());
  });

  test("is replaced after the first unanswered call, and its other calls are UNAVAILABLE", async () => {
    const remotes = grpcRemotes({ identity: identities[0]! });
    const { networkService, monitor } = remotes.to(proxy.url);
    const call = (ms: number): Promise<unknown> =>
      ctx.withTimeout(ms, (c) => networkService.request(c, request)).then(() => "answered", codeOf);
    expect(await call(5_000)).toBe("answered");
    const streamEnd = new Promise<unknown>((resolve) => {
      monitor.monitorConnections(ctx, MonitorScopeSelector.create()).subscribe({ error: resolve });
    });

    proxy.silence();
    expect(await call(100)).toBe(Code.DeadlineExceeded);
    const error = await streamEnd;
    expect(codeOf(error)).toBe(Code.Unavailable);
    expect(explain(error)).toContain("its connection went silent");
    expect(await call(5_000)).toBe("answered");
    expect(proxy.accepted).toBe(2);
    remotes.close();
  });

  test("is kept when only the call was slow", async () => {
    const remotes = grpcRemotes({ identity: identities[0]! });
    const { networkService } = remotes.to(proxy.url);
    const slow = NetworkServiceRequest.create({ connection: Connection.create({ id: "slow" }) });
    for (let i = 0; i < 3; i++) {
      const late = await ctx.withTimeout(100, (c) => networkService.request(c, slow)).catch(codeOf);
      expect(late).toBe(Code.DeadlineExceeded);
    }
    await networkService.request(ctx, request);
    expect(proxy.accepted).toBe(1);
    remotes.close();
  });
});
