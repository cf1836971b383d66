import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, NEVER, of } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  MonitorScopeSelector,
  NetworkServiceRequest,
  NetworkServiceService,
} from "../../src/api/index.js";
import { Code, codeOf, Context, explain, silent, type NetworkService } from "../../src/core/index.js";
import { insecureIdentity, type Identity } from "../../src/identity/index.js";
import { grpcServer, type InboundLimits, type Server } from "../../src/inbound/index.js";
import { grpcRemotes, type GrpcRemotes } from "../../src/outbound/index.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";
import { renewable } from "../outbound/tls-identities.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
const echo: NetworkService = {
  request: async (_ctx, { connection }) => connection!,
  close: async () => {},
};
/** How long the tests wait where nothing must happen. */
const PAUSE_MS = 150;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

describe("the limits of a server", () => {
  let before: number;
  let remotes: GrpcRemotes;
  let server: Server;
  let logged: { readonly peer?: string; readonly error?: string }[];
  let folder: string;
  const ctx = Context.background();

  beforeEach(async () => {
    before = openSockets();
    logged = [];
    remotes = grpcRemotes({ identity: insecureIdentity() });
    folder = await mkdtemp(join(tmpdir(), "nsm-limits-"));
  });
  afterEach(async () => {
    remotes.close();
    await server.close();
    expect(server.debugState()).toEqual({});
    await socketsDownTo(before);
    await rm(folder, { recursive: true });
  });

  const serve = async (limits: InboundLimits, identity: Identity = insecureIdentity()): Promise<string> => {
    server = await grpcServer({
      identity,
      limits,
      graceMs: 0,
      listenOn: ["tcp://127.0.0.1:0", `unix://${folder}/nsm.sock`],
      services: {
        networkService: echo,
        monitor: { monitorConnections: () => concat(of(ConnectionEvent.create()), NEVER) },
      },
      logger: { ...silent, warn: (fields) => void logged.push(fields) },
    });
    return server.listenOn[0]!;
  };
  const call = (url = server.listenOn[0]!): Promise<Connection> =>
    remotes.to(url).networkService.request(ctx, request);
  const tcp = (localAddress = "127.0.0.1"): Socket => {
    const socket = connect({
      port: Number(new URL(server.listenOn[0]!).port),
      host: "127.0.0.1",
      localAddress,
    });
    socket.on("error", () => {});
    return socket.resume();
  };
  // A reset is a way to close, too: the server may close before the client's bytes arrive.
  const closed = (socket: Socket): Promise<unknown> =>
    socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once("close", resolve));

  test.each([
    ["says nothing", Buffer.alloc(0)],
    ["says half of what HTTP/2 begins with", Buffer.from("PRI * HTT")],
    ["begins TLS where there is none", Buffer.from("160301", "hex")],
  ])("close a connection that %s", async (_title, bytes) => {
    await serve({ handshakeMs: 50 });
    const sockets = Array.from({ length: 100 }, () => tcp());
    for (const socket of sockets) if (bytes.length > 0) socket.write(bytes);
    await Promise.all(sockets.map(closed));
    await expect(call()).resolves.toEqual(request.connection);
    // A hundred refusals of one peer are one line.
    expect(logged).toHaveLength(1);
    expect(logged[0]!.peer).toBe("127.0.0.1");
  });

  test("close a connection that hangs in the TLS handshake", async () => {
    const { identity } = await renewable("nsmgr");
    await serve({ handshakeMs: 50 }, identity);
    const socket = tcp();
    socket.write(Buffer.from("1603010200", "hex"));
    await closed(socket);
    expect(logged).toEqual([
      { peer: "127.0.0.1", error: "the client did not complete TLS and start HTTP/2 within 50 ms" },
    ]);
    identity.close();
  });

  test("keep a connection that spoke in time", async () => {
    await serve({ handshakeMs: 50 });
    const session = await http2();
    await pause();
    expect(session.closed).toBe(false);
    session.destroy();
    expect(logged).toEqual([]);
  });

  test("reject a message that is larger than allowed, and name the limit", async () => {
    await serve({ messageBytes: 1_000 });
    const large = NetworkServiceRequest.create({ connection: Connection.create({ id: "x".repeat(1_000) }) });
    const error: unknown = await remotes
      .to(server.listenOn[0]!)
      .networkService.request(ctx, large)
      .catch((caught: unknown) => caught);
    expect(codeOf(error)).toBe(Code.ResourceExhausted);
    expect(explain(error)).toMatch(/larger than max \(\d+ vs 1000\)/);
    await expect(call()).resolves.toEqual(request.connection);
  });

  const http2 = async (): Promise<ClientHttp2Session> => {
    const session = connectHttp2(`http://${new URL(server.listenOn[0]!).host}`);
    session.on("error", () => {});
    await once(session, "remoteSettings");
    return session;
  };
  /** Sends the beginning of a message of 1 MB, and answers how the call ends. */
  const unfinished = (session: ClientHttp2Session, bytes: number): ClientHttp2Stream => {
    const stream = session.request({
      ":method": "POST",
      ":path": NetworkServiceService.request.path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.write(Buffer.concat([Buffer.from("0000100000", "hex"), Buffer.alloc(bytes)]));
    return stream;
  };
  const headersOf = async (stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> =>
    ((await once(stream, "response")) as [IncomingHttpHeaders])[0];

  test("refuse the call whose unfinished message is too much for one peer, and read on when there is room", async () => {
    await serve({ unfinishedBytesPerPeer: 100_000 });
    const session = await http2();
    unfinished(session, 40_000);
    unfinished(session, 40_000);
    const headers = await headersOf(unfinished(session, 40_000));
    expect(headers["grpc-status"]).toBe(String(Code.ResourceExhausted));
    expect(decodeURI(headers["grpc-message"] as string)).toBe(
      "the unfinished messages of 127.0.0.1 exceed 100000 bytes: send fewer at once",
    );
    // What was refused is no longer counted.
    await expect(call()).resolves.toEqual(request.connection);
    // Another connection of the same peer shares the room.
    const second = await http2();
    const refused = await headersOf(unfinished(second, 40_000));
    expect(refused["grpc-status"]).toBe(String(Code.ResourceExhausted));
    session.destroy();
    await once(session, "close");
    await expect.poll(async () => headersOr(unfinished(second, 40_000))).toBe("accepted");
    second.destroy();
  });

  test("refuse further calls of a peer that does not read its answers", async () => {
    await serve({ callBytesPerPeer: 200_000 });
    const session = await http2();
    session.settings({ initialWindowSize: 0 });
    await once(session, "localSettings");
    const message = NetworkServiceRequest.encode(
      NetworkServiceRequest.create({ connection: Connection.create({ id: "x".repeat(40_000) }) }),
    ).finish();
    const statuses: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      const stream = session.request({
        ":method": "POST",
        ":path": NetworkServiceService.request.path,
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => {});
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      stream.end(Buffer.concat([head, message]));
      statuses.push((await headersOf(stream))["grpc-status"]);
    }
    // Two calls with their answers have room.
    expect(statuses).toEqual([
      undefined,
      undefined,
      String(Code.ResourceExhausted),
      String(Code.ResourceExhausted),
    ]);
    session.destroy();
    await once(session, "close");
    await expect
      .poll(() =>
        call().then(
          () => "room",
          () => "none",
        ),
      )
      .toBe("room");
  });

  test("count the headers of a peer's calls", async () => {
    await serve({ callBytesPerPeer: 200_000 });
    const session = await http2();
    const open = (): ClientHttp2Stream => {
      const stream = session.request({
        ":method": "POST",
        ":path": NetworkServiceService.request.path,
        "content-type": "application/grpc",
        te: "trailers",
        token: "x".repeat(40_000),
      });
      stream.on("error", () => {});
      return stream;
    };
    const calls = Array.from({ length: 4 }, open);
    await pause();
    expect((await headersOf(open()))["grpc-status"]).toBe(String(Code.ResourceExhausted));
    for (const stream of calls) stream.close();
    expect(await call().then(() => "room")).toBe("room");
    session.destroy();
    await once(session, "close");
  });

  /** "accepted" when the call is not refused for a while. */
  const headersOr = async (stream: ClientHttp2Stream): Promise<unknown> => {
    const outcome = await Promise.race([headersOf(stream), pause().then(() => "accepted")]);
    stream.close();
    return outcome;
  };

  test("count the pieces of a message and its bytes", async () => {
    await serve({ unfinishedBytesPerPeer: 20_000 });
    const session = await http2();
    const stream = unfinished(session, 0);
    let refused = false;
    void headersOf(stream).then(() => (refused = true));
    let sent = 0;
    for (; !refused && sent < 1_000; sent++) {
      stream.write(Buffer.alloc(1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(refused).toBe(true);
    session.destroy();
  });

  test("let calls beyond the streams of a connection wait until one ends", async () => {
    const url = await serve({ streamsPerConnection: 2 });
    await call();
    const watch = () => {
      const { monitor } = remotes.to(url);
      return new Promise<{ unsubscribe(): void }>((resolve) => {
        const opened = monitor
          .monitorConnections(ctx, MonitorScopeSelector.create())
          .subscribe({ next: () => queueMicrotask(() => resolve(opened)) });
      });
    };
    const [first, second] = [await watch(), await watch()];
    let answered = false;
    const third = call().then(() => (answered = true));
    await pause();
    expect(answered).toBe(false);
    expect(server.debugState()).toEqual({ inbound: { calls: 0, streams: 2 } });
    first.unsubscribe();
    await third;
    second.unsubscribe();
  });

  test("refuse connections beyond those of one peer, while others get in", async () => {
    await serve({ connectionsPerPeer: 2, handshakeMs: 5_000 });
    const [first, second] = [tcp(), tcp()];
    await Promise.all([once(first, "connect"), once(second, "connect")]);
    await closed(tcp());
    expect(logged).toEqual([
      { peer: "127.0.0.1", error: "127.0.0.1 has 2 open connections, which is the limit" },
    ]);

    const neighbor = tcp("127.0.0.2");
    await once(neighbor, "connect");
    await expect(call(server.listenOn[1])).resolves.toEqual(request.connection);
    await pause();
    expect([first, second, neighbor].map((socket) => socket.closed)).toEqual([false, false, false]);

    first.destroy();
    await expect.poll(() => call().then(() => "in", explain)).toBe("in");
    for (const socket of [second, neighbor]) socket.destroy();
  });

  test("close a connection without calls after the idle time, and keep one with a stream", async () => {
    const url = await serve({ idleMs: 50 });
    const idle = await http2();
    const opened = new Promise<{ unsubscribe(): void }>((resolve) => {
      const subscription = remotes
        .to(url)
        .monitor.monitorConnections(ctx, MonitorScopeSelector.create())
        .subscribe({ next: () => queueMicrotask(() => resolve(subscription)), error: () => {} });
    });
    const stream = await opened;
    await once(idle, "close");
    await pause();
    expect(server.debugState()).toEqual({ inbound: { calls: 0, streams: 1 } });
    stream.unsubscribe();
    // A client whose connection was closed makes a new one.
    await expect(call()).resolves.toEqual(request.connection);
  });

  test("must be whole numbers above 0", async () => {
    await serve({});
    await expect(
      grpcServer({ identity: insecureIdentity(), listenOn: [], services: {}, limits: { messageBytes: 0 } }),
    ).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: "the limit messageBytes was 0: allowed is a whole number from 1 to 2147483647",
    });
  });

  test("close connections without HTTP/2 when the server closes", async () => {
    await serve({});
    const socket = tcp();
    await once(socket, "connect");
    await pause();
    await expect(Promise.all([server.close(), closed(socket)])).resolves.toBeDefined();
  });
});
