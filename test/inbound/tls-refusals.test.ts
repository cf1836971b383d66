import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Connection, NetworkServiceRequest, NetworkServiceService } from "../../src/api/index.js";
import { Code, codeOf, Context, explain, isRetryable, silent } from "../../src/core/index.js";
import {
  authority,
  insecureIdentity,
  type Authority,
  type Identity,
  type IssuedSvid,
} from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";
import { secureIdentity, twoAuthorities } from "../identity/support.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });

describe("a server that refuses a client", () => {
  let org: Authority;
  let net: Authority;
  let nsmgr: IssuedSvid;
  let before: number;
  let clock: VirtualClock;
  let server: Server;
  let identity: Identity;
  let served: number;
  let logged: unknown[];

  beforeAll(async () => {
    ({ org, net } = await twoAuthorities());
    nsmgr = await org.issue({ path: "/nsmgr" });
  });
  beforeEach(() => {
    before = openSockets();
    clock = virtualClock(Date.now());
    logged = [];
    served = 0;
  });
  afterEach(async () => {
    await server.close();
    identity.close();
    await socketsDownTo(before);
  });

  const serve = async (as: Identity, handshakeMs = 10_000): Promise<string> => {
    identity = as;
    server = await grpcServer({
      identity,
      clock,
      listenOn: ["tcp://127.0.0.1:0"],
      limits: { handshakeMs },
      graceMs: 0,
      services: {
        networkService: {
          request: async (_ctx, { connection }) => {
            served++;
            return connection!;
          },
          close: async () => {},
        },
      },
      logger: { ...silent, warn: (fields) => void logged.push(fields) },
    });
    return server.listenOn[0]!;
  };

  /** The error that a client with that identity gets. */
  const answerTo = async (client: Identity): Promise<{ code: Code; text: string }> => {
    const remotes = grpcRemotes({ identity: client });
    const error: unknown = await remotes
      .to(server.listenOn[0]!)
      .networkService.request(Context.background(), request)
      .catch((caught: unknown) => caught);
    remotes.close();
    client.close();
    expect(isRetryable(codeOf(error))).toBe(false);
    expect(served).toBe(0);
    return { code: codeOf(error), text: explain(error).replace(/^.* failed: /, "") };
  };
  const eventually = (...lines: unknown[]): Promise<void> => expect.poll(() => logged).toEqual(lines);

  test("notifies one without TLS, and logs it", async () => {
    await serve(secureIdentity(nsmgr));
    const text = "the caller was refused: it did not use TLS";
    expect(await answerTo(insecureIdentity())).toEqual({ code: Code.Unauthenticated, text });
    await eventually({ peer: "127.0.0.1", error: text });
  });

  test("notifies one with TLS that this server has none, and logs it", async () => {
    await serve(insecureIdentity());
    expect(await answerTo(secureIdentity(await org.issue({ path: "/nsc" })))).toEqual({
      code: Code.Unauthenticated,
      text: "the server does not use TLS: use an identity on both sides, or --insecure on both",
    });
    await eventually({
      peer: "127.0.0.1",
      error: "the client uses TLS, but this server runs with --insecure",
    });
  });

  test("notifies one of another trust domain, and logs it", async () => {
    await serve(secureIdentity(nsmgr));
    const reason = 'spiffe://example.net/nsc is in trust domain "example.net"; trusted: example.org';
    const foreign = secureIdentity(await net.issue({ path: "/nsc" }), { "example.org": org.ca });
    expect(await answerTo(foreign)).toEqual({
      code: Code.Unauthenticated,
      text: `the caller was refused: ${reason}`,
    });
    await eventually({ peer: "127.0.0.1", error: reason });
  });

  test("notifies one of another authority for the same trust domain, and logs it", async () => {
    await serve(secureIdentity(nsmgr));
    const other = await authority({ trustDomain: "example.org" });
    const issued = await other.issue({ path: "/nsc" });
    const { code, text } = await answerTo(secureIdentity({ ...issued, ca: issued.ca + org.ca }));
    const reason = "the certificate of spiffe://example.org/nsc does not chain to the bundle";
    expect([code, text]).toEqual([Code.Unauthenticated, expect.stringContaining(reason)]);
    await eventually({ peer: "127.0.0.1", error: expect.stringContaining(reason) as string });
  });

  test("notifies one whose certificate expired, and logs it", async () => {
    await serve(secureIdentity(nsmgr));
    const { code, text } = await answerTo(
      secureIdentity(await org.issue({ path: "/nsc", notBefore: new Date(0) })),
    );
    const reason = "the certificate of spiffe://example.org/nsc expired at 1970";
    expect([code, text]).toEqual([Code.Unauthenticated, expect.stringContaining(reason)]);
    await eventually({ peer: "127.0.0.1", error: expect.stringContaining(reason) as string });
  });

  test("notifies one without a certificate, and logs it", async () => {
    const url = await serve(secureIdentity(nsmgr));
    const client = new Client(
      new URL(url).host,
      credentials.createSsl(Buffer.from(org.ca), null, null, { checkServerIdentity: () => undefined }),
      { "grpc.use_local_subchannel_pool": 1, "grpc.ssl_target_name_override": "localhost" },
    );
    const { path, requestSerialize, responseDeserialize } = NetworkServiceService.request;
    const error = await new Promise<ServiceError | null>((resolve) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, resolve),
    );
    client.close();
    expect(error).toMatchObject({
      code: Code.Unauthenticated,
      details: "the caller was refused: it showed no certificate: expected a SPIFFE certificate",
    });
    await eventually({
      peer: "127.0.0.1",
      error: "it showed no certificate: expected a SPIFFE certificate",
    });
  });

  test("closes its connection when the handshake time is over, if it makes no call", async () => {
    const url = await serve(secureIdentity(nsmgr), 100);
    const { key, svid } = await net.issue({ path: "/nsc" });
    const port = Number(new URL(url).port);
    const socket = connectTls({ port, host: "127.0.0.1", key, cert: svid, rejectUnauthorized: false });
    await once(socket, "secureConnect");
    socket.on("error", () => {}).write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await once(socket.resume(), "close");
    expect(served).toBe(0);
  });

  test("learns from its log that clients do not trust its own certificate", async () => {
    await serve(secureIdentity(nsmgr));
    const client = secureIdentity(await net.issue({ path: "/nsc" }));
    expect(await answerTo(client)).toEqual({
      code: Code.Unauthenticated,
      text:
        "the server was refused: " +
        'spiffe://example.org/nsmgr is in trust domain "example.org"; trusted: example.net',
    });
    await expect
      .poll(() => logged)
      .toContainEqual({
        peer: "127.0.0.1",
        error: expect.stringContaining(
          "it may not trust the certificate of spiffe://example.org/nsmgr, which expires at ",
        ) as string,
      });
  });

  test("logs one line per peer and minute, and then how many there were", async () => {
    await serve(secureIdentity(nsmgr));
    for (let i = 0; i < 3; i++) await answerTo(insecureIdentity());
    const line = { peer: "127.0.0.1", error: "the caller was refused: it did not use TLS" };
    expect(logged).toEqual([line]);
    await clock.advance(60_000);
    await answerTo(insecureIdentity());
    expect(logged).toEqual([line, { ...line, unlogged: 2 }]);
  });
});
