import { connect } from "node:net";
import { once } from "node:events";
import { Client, credentials, status, type ServiceError } from "@grpc/grpc-js";
import { concat, NEVER, of, Subject } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  MonitorConnectionService,
  MonitorScopeSelector,
  NetworkServiceEndpointRegistryService,
  NetworkServiceEndpoint,
  NetworkServiceRequest,
  NetworkServiceService,
} from "../../src/api/index.js";
import {
  Code,
  codeOf,
  Context,
  explain,
  systemClock,
  type Clock,
  type NetworkService,
} from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer, type Server, type Services } from "../../src/inbound/index.js";
import { grpcRemotes, type GrpcRemotes } from "../../src/outbound/index.js";
import { virtualClock } from "../../src/testing/index.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";

const identity = insecureIdentity();
const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
const echo: NetworkService = {
  request: async (_ctx, { connection }) => connection!,
  close: async () => {},
};

describe("a gRPC server", () => {
  let before: number;
  let remotes: GrpcRemotes;
  let server: Server;
  let client: Client | undefined;
  const ctx = Context.background();

  beforeEach(() => {
    before = openSockets();
    remotes = grpcRemotes({ identity });
  });
  afterEach(async () => {
    client?.close();
    client = undefined;
    remotes.close();
    await server.close();
    expect(server.debugState()).toEqual({});
    await socketsDownTo(before);
  });

  const serve = async (services: Services, clock: Clock = systemClock): Promise<string> => {
    server = await grpcServer({ identity, listenOn: ["tcp://127.0.0.1:0"], services, clock });
    return server.listenOn[0]!;
  };
  const rawClient = (url: string): Client =>
    (client = new Client(url.slice("tcp://".length), credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
    }));

  test("lets calls finish when it closes, and accepts no new ones", async () => {
    const release = deferred();
    const started = deferred();
    const url = await serve({
      networkService: {
        ...echo,
        request: async (_c, { connection }) => {
          started.resolve();
          await release.promise;
          return connection!;
        },
      },
    });
    const call = remotes.to(url).networkService.request(ctx, request);
    await started.promise;
    const closing = server.close();
    await expect(once(connect(Number(new URL(url).port), "127.0.0.1"), "connect")).rejects.toThrow(
      "ECONNREFUSED",
    );
    release.resolve();
    await expect(call).resolves.toEqual(request.connection);
    await closing;
  });

  test("breaks what is not done within the grace time, and its Context is aborted", async () => {
    const clock = virtualClock();
    const started = deferred<AbortSignal>();
    const url = await serve(
      {
        networkService: {
          ...echo,
          request: (c) => {
            started.resolve(c.signal);
            return new Promise((_resolve, reject) =>
              c.signal.addEventListener("abort", () => reject(c.signal.reason as Error)),
            );
          },
        },
      },
      clock,
    );
    const call = remotes.to(url).networkService.request(ctx, request).catch(codeOf);
    const signal = await started.promise;
    const closing = server.close();
    await clock.advance(4_999);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    await closing;
    expect(await call).toBe(Code.Unavailable);
    expect(signal.aborted).toBe(true);
    expect(clock.timers).toBe(0);
  });

  test("ends streams at once when it closes, with the reason", async () => {
    const source = new Subject<ConnectionEvent>();
    const url = await serve({
      monitor: { monitorConnections: () => concat(of(ConnectionEvent.create()), source) },
    });
    const opened = deferred();
    const ended = new Promise<unknown>((resolve) =>
      remotes
        .to(url)
        .monitor.monitorConnections(ctx, MonitorScopeSelector.create())
        .subscribe({ next: () => opened.resolve(), error: resolve }),
    );
    await opened.promise;
    await server.close();
    const error = await ended;
    expect(codeOf(error)).toBe(Code.Unavailable);
    expect(explain(error)).toContain("the server is shutting down");
    expect(source.observed).toBe(false);
  });

  test("closes at once when its clients only keep their connections", async () => {
    const url = await serve({ networkService: echo }, virtualClock());
    await remotes.to(url).networkService.request(ctx, request);
    // In virtual time, which stands still: nothing is waited for.
    await expect(server.close()).resolves.toBeUndefined();
  });

  test("closing twice is closing once", async () => {
    await serve({});
    await expect(Promise.all([server.close(), server.close()])).resolves.toEqual([undefined, undefined]);
  });

  test("serves on after bytes that are no HTTP/2", async () => {
    const url = await serve({ networkService: echo });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    socket.write("GET / HTTP/1.1\r\n\r\n".repeat(10));
    await once(socket, "close");
    await expect(remotes.to(url).networkService.request(ctx, request)).resolves.toEqual(request.connection);
  });

  test("answers INVALID_ARGUMENT to a message that is none, and serves on", async () => {
    const url = await serve({ networkService: echo });
    const answer = await new Promise<ServiceError | null>((resolve) =>
      rawClient(url).makeUnaryRequest(
        NetworkServiceService.request.path,
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        Buffer.from("ffffffff", "hex"),
        resolve,
      ),
    );
    expect(answer?.code).toBe(status.INVALID_ARGUMENT);
    await expect(remotes.to(url).networkService.request(ctx, request)).resolves.toEqual(request.connection);
  });

  test("sends the path before the answer, and none to a caller that sent none", async () => {
    const url = await serve({
      endpoints: {
        register: async (_c, entry) => entry,
        find: () => NEVER,
        unregister: async () => {},
      },
    });
    const { register } = NetworkServiceEndpointRegistryService;
    const raw = rawClient(url);
    const events: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const call = raw.makeUnaryRequest(
        register.path,
        register.requestSerialize,
        register.responseDeserialize,
        NetworkServiceEndpoint.create({ name: "nse" }),
        (error) => (error ? reject(error) : resolve()),
      );
      call.on("metadata", (headers) => events.push(`path ${headers.get("path").length}`));
    });
    expect(events).toEqual(["path 0"]);
  });

  test("a slow reader does not delay others, and later gets the latest message of each key", async () => {
    const IDS = 10;
    const ROUNDS = 2_000;
    const source = new Subject<ConnectionEvent>();
    const subscribed = deferred();
    const url = await serve({
      monitor: {
        monitorConnections: () => {
          queueMicrotask(subscribed.resolve);
          return source;
        },
      },
    });
    const { monitorConnections } = MonitorConnectionService;
    const stream = rawClient(url).makeServerStreamRequest(
      monitorConnections.path,
      monitorConnections.requestSerialize,
      monitorConnections.responseDeserialize,
      MonitorScopeSelector.create(),
    );
    stream.on("error", () => {});
    stream.pause();
    await subscribed.promise;

    // 20,000 events of 1 KB: far more than windows and buffers hold.
    const payload = "x".repeat(1_000);
    for (let round = 1; round <= ROUNDS; round++) {
      for (let id = 0; id < IDS; id++) {
        const connection = Connection.create({ id: `c${id}`, labels: { round: String(round), payload } });
        source.next(
          ConnectionEvent.create({
            type: ConnectionEventType.UPDATE,
            connections: { [`c${id}`]: connection },
          }),
        );
      }
      if (round % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    source.next(
      ConnectionEvent.create({ type: ConnectionEventType.DELETE, connections: { c0: Connection.create() } }),
    );

    const latest = new Map<string, string>();
    let received = 0;
    const done = deferred();
    stream.on("data", (event: ConnectionEvent) => {
      for (const [id, { labels }] of Object.entries(event.connections)) {
        received++;
        latest.set(id, event.type === ConnectionEventType.DELETE ? "deleted" : labels["round"]!);
      }
      if (
        [...latest.values()].filter((word) => word === "deleted" || word === String(ROUNDS)).length === IDS
      ) {
        done.resolve();
      }
    });
    stream.resume();
    await done.promise;
    stream.cancel();
    expect(latest.get("c0")).toBe("deleted");
    expect(received).toBeLessThan((IDS * ROUNDS) / 4);
  });
});

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((r) => (resolve = r));
  return { promise, resolve };
}
