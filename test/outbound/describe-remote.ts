import {
  concat,
  finalize,
  firstValueFrom,
  lastValueFrom,
  NEVER,
  of,
  Subject,
  throwError,
  toArray,
} from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse,
  NetworkServiceRequest,
  NetworkServiceResponse,
  NetworkServiceQuery,
  NetworkServiceEntry,
  MonitorScopeSelector,
} from "../../src/api/index.js";
import {
  Code,
  codeOf,
  Context,
  explain,
  NsmError,
  peer,
  type Clock,
  type Logger,
  type Peer,
} from "../../src/core/index.js";
import { registrationPath, type RegistrationPath } from "../../src/wire/index.js";
import type { Services } from "../../src/inbound/index.js";
import { serverPeer, type HealthRemote, type HealthRemotes } from "../../src/outbound/index.js";

/** A server of one kind of remote. */
export interface TestServer {
  readonly url: string;
  setServing(service: string, serving: boolean): void;
  /** Dies without a word. */
  kill(): Promise<void>;
}

/** One kind of remote under test. */
export interface RemoteKit {
  readonly clock: Clock;
  listen(served: Services, logger?: Logger): Promise<TestServer>;
  readonly remotes: HealthRemotes;
  /** An address where nobody listens. */
  readonly nowhere: string;
  /** Lets time pass, where it does not do so by itself. */
  pass(ms: number): Promise<void>;
  /** Takes everything down and checks that nothing is left. */
  close(): Promise<void>;
}

/** The promises of a remote, whatever lies between its ends. */
export function describeRemote(name: string, kitOf: () => Promise<RemoteKit>): void {
  describe(`a remote over ${name}`, () => {
    let kit: RemoteKit;
    let ctx: Context;
    beforeEach(async () => {
      kit = await kitOf();
      ctx = Context.background({ clock: kit.clock });
    });
    afterEach(() => kit.close());

    const remoteTo = async (served: Services, logger?: Logger): Promise<HealthRemote> =>
      kit.remotes.to((await kit.listen(served, logger)).url);

    const request = NetworkServiceRequest.create({
      connection: Connection.create({ id: "c1", networkService: "firewall", labels: { app: "web" } }),
    });
    const nse = NetworkServiceEndpoint.create({ name: "nse-1", networkServiceNames: ["firewall"] });

    test("a Request goes there and its connection comes back", async () => {
      const { networkService } = await remoteTo({
        networkService: {
          request: async (_ctx, { connection }) => ({ ...connection!, networkServiceEndpointName: "nse-1" }),
          close: async () => {},
        },
      });
      await expect(networkService.request(ctx, request)).resolves.toEqual({
        ...request.connection,
        networkServiceEndpointName: "nse-1",
      });
    });

    test("fields of a newer peer pass unharmed", async () => {
      const { networkService } = await remoteTo({ networkService: echo });
      const connection: Connection = {
        ...request.connection!,
        _unknownFields: { 8002: [Buffer.from("\x01x")] },
      };
      const answer = await networkService.request(ctx, { ...request, connection });
      expect(Object.keys(answer._unknownFields ?? {})).toEqual(["8002"]);
    });

    test("a Close carries the connection and answers nothing", async () => {
      let closed: string | undefined;
      const { networkService } = await remoteTo({
        networkService: { ...echo, close: async (_ctx, { id }) => void (closed = id) },
      });
      await expect(networkService.close(ctx, request.connection!)).resolves.toBeUndefined();
      expect(closed).toBe("c1");
    });

    test("the server learns who calls, from where, and the token with its expiry", async () => {
      let caller: Peer | undefined;
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: async (c, { connection }) => {
            caller = c.get(peer);
            return connection!;
          },
        },
      });
      await networkService.request(ctx, request);
      expect(caller).toMatchObject({ local: true });
      expect(caller?.address).not.toBe("");
      expect(caller?.token?.token).toMatch(/^eyJ/);
      expect(caller?.token?.expires.seconds).toBeGreaterThan(kit.clock.now() / 1000);
    });

    test("the caller learns who answered", async () => {
      const { networkService } = await remoteTo({ networkService: echo });
      const holder: { current?: Peer } = {};
      await networkService.request(ctx.with(serverPeer, holder), request);
      expect(holder.current).toMatchObject({ local: true });
    });

    test("an error keeps its code, and its sentence with those of its causes", async () => {
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: async () => {
            throw new NsmError(Code.ResourceExhausted, "every pool refused", {
              cause: new NsmError(Code.Internal, "no address left in 10.0.0.0/30"),
            });
          },
        },
      });
      const error = await failure(networkService.request(ctx, request));
      expect(error).toBeInstanceOf(NsmError);
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(explain(error)).toContain("every pool refused: no address left in 10.0.0.0/30");
      expect(error.message).toMatch(/^NetworkService\/Request at .+ failed$/);
    });

    test("no token leaves in an error", async () => {
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: async () => {
            throw new NsmError(
              Code.PermissionDenied,
              "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln is not ours",
            );
          },
        },
      });
      const error = await failure(networkService.request(ctx, request));
      expect(explain(error)).toContain("token <token> is not ours");
    });

    test("an exception nobody foresaw is INTERNAL and one line in the server's log", async () => {
      const lines: string[] = [];
      const note = (_fields: object, message: string): void => void lines.push(message);
      const { networkService } = await remoteTo(
        {
          networkService: {
            ...echo,
            request: async () => {
              throw new TypeError("undefined is not a function");
            },
          },
        },
        { debug() {}, info() {}, warn: note, error: note },
      );
      const error = await failure(networkService.request(ctx, request));
      expect(error.code).toBe(Code.Internal);
      expect(lines).toHaveLength(1);
    });

    test("an error of a service that also throws outside its promise does no harm", async () => {
      const { monitor, networkService } = await remoteTo({
        networkService: echo,
        monitor: {
          monitorConnections: () => {
            throw new NsmError(Code.PermissionDenied, "not yours");
          },
        },
      });
      const error = await failure(
        firstValueFrom(monitor.monitorConnections(ctx, MonitorScopeSelector.create())),
      );
      expect(error.code).toBe(Code.PermissionDenied);
      await expect(networkService.request(ctx, request)).resolves.toBeDefined();
    });

    test("a cancel reaches the server, and the caller does not wait for it", async () => {
      const started = deferred<AbortSignal>();
      const { networkService } = await remoteTo({
        networkService: { ...echo, request: hanging(started.resolve) },
      });
      const controller = new AbortController();
      const call = failure(ctx.withSignal(controller.signal, (c) => networkService.request(c, request)));
      const server = await started.promise;
      controller.abort(new NsmError(Code.Cancelled, "not wanted any more"));
      expect((await call).code).toBe(Code.Cancelled);
      await aborted(server);
      expect(codeOf(server.reason)).toBe(Code.Cancelled);
    });

    test("a call that was cancelled before it began fails and reaches nobody", async () => {
      let calls = 0;
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: async (_c, { connection }) => {
            calls++;
            return connection!;
          },
        },
      });
      const signal = AbortSignal.abort(new NsmError(Code.Cancelled, "too late"));
      const dead = Context.background({ clock: kit.clock, signal });
      expect((await failure(networkService.request(dead, request))).code).toBe(Code.Cancelled);
      await networkService.request(ctx, request);
      expect(calls).toBe(1);
    });

    test("the deadline goes along, and ends the call on both sides", async () => {
      const started = deferred<AbortSignal>();
      let remaining: number | undefined;
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: (c) => {
            remaining = c.remainingMs;
            return hanging(started.resolve)(c);
          },
        },
      });
      const call = failure(ctx.withTimeout(300, (c) => networkService.request(c, request)));
      const server = await started.promise;
      await kit.pass(301);
      expect((await call).code).toBe(Code.DeadlineExceeded);
      await aborted(server);
      // The server counts from when the call arrived, so the caller's hanging up may come first.
      expect([Code.DeadlineExceeded, Code.Cancelled]).toContain(codeOf(server.reason));
      expect(remaining).toBeGreaterThan(0);
      expect(remaining).toBeLessThanOrEqual(300);
    });

    test("a call without deadline has none at the server", async () => {
      let deadline: number | undefined = 0;
      const { networkService } = await remoteTo({
        networkService: {
          ...echo,
          request: async (c, { connection }) => {
            deadline = c.deadline;
            return connection!;
          },
        },
      });
      await networkService.request(ctx, request);
      expect(deadline).toBeUndefined();
    });

    test("calling where nobody listens is UNAVAILABLE and names the address", async () => {
      const error = await failure(kit.remotes.to(kit.nowhere).networkService.request(ctx, request));
      expect(error.code).toBe(Code.Unavailable);
      expect(explain(error)).toContain(kit.nowhere);
    });

    test("a service that is not served is UNIMPLEMENTED", async () => {
      const { endpoints } = await remoteTo({ networkService: echo });
      expect((await failure(endpoints.register(ctx, nse))).code).toBe(Code.Unimplemented);
      expect((await failure(lastValueFrom(endpoints.find(ctx, allEndpoints)))).code).toBe(Code.Unimplemented);
    });

    test("one address has one remote, however it is written", async () => {
      const { url } = await kit.listen({ networkService: echo });
      expect(kit.remotes.to(url)).toBe(kit.remotes.to(url));
      expect(kit.remotes.to("unix:///run/x.sock")).toBe(kit.remotes.to("unix:/run/x.sock"));
    });

    test.each([
      ["10.0.0.1:5002", "tcp://10.0.0.1:5002"],
      ["tcp://10.0.0.1", "tcp://host:port"],
      ["tcp://host:0", "tcp://host:port"],
      ["http://10.0.0.1:80", "unix:///path"],
      ["unix:", "unix:///path"],
      [`unix:///${"x".repeat(108)}`, "107 bytes"],
      ["", "name:port"],
    ])("the address %j is refused, naming it and what is allowed", (url, allowed) => {
      const refused = (): unknown => kit.remotes.to(url);
      expect(refused).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
      expect(refused).toThrow(JSON.stringify(url));
      expect(refused).toThrow(allowed);
    });

    test("a registration path goes there and comes back longer", async () => {
      let seen: RegistrationPath | undefined;
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          register: async (c, entry) => {
            const holder = c.get(registrationPath)!;
            seen = holder.current;
            holder.current = { index: 1, segments: [...seen.segments, { token: "added" }] };
            return entry;
          },
        },
      });
      const holder = { current: { index: 1, segments: [{ token: "a" }, { token: "b" }] } };
      await endpoints.register(ctx.with(registrationPath, holder), nse);
      expect(seen).toEqual({ index: 1, segments: [{ token: "a" }, { token: "b" }] });
      expect(holder.current).toEqual({
        index: 1,
        segments: [{ token: "a" }, { token: "b" }, { token: "added" }],
      });
    });

    test("an Unregister carries the path too, and a failed one leaves it as it was", async () => {
      let seen: RegistrationPath | undefined;
      const { networkServices } = await remoteTo({
        networkServices: {
          ...noRegistry,
          unregister: async (c) => {
            const holder = c.get(registrationPath)!;
            seen = holder.current;
            holder.current = { index: 9, segments: [] };
            throw new NsmError(Code.NotFound, "no such service");
          },
        },
      });
      const holder = { current: { index: 0, segments: [{ token: "a" }] } };
      const call = networkServices.unregister(
        ctx.with(registrationPath, holder),
        NetworkServiceEntry.create({ name: "firewall" }),
      );
      expect((await failure(call)).code).toBe(Code.NotFound);
      expect(seen).toEqual({ index: 0, segments: [{ token: "a" }] });
      expect(holder.current).toEqual({ index: 0, segments: [{ token: "a" }] });
    });

    test("a Register without a path sends an empty one", async () => {
      let seen: RegistrationPath | undefined;
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          register: async (c, entry) => {
            seen = c.get(registrationPath)?.current;
            return entry;
          },
        },
      });
      await expect(endpoints.register(ctx, nse)).resolves.toEqual(nse);
      expect(seen).toEqual({ index: 0, segments: [] });
    });

    test("a Find gives what is found, in order, and completes", async () => {
      const { endpoints } = await remoteTo({
        endpoints: { ...noRegistry, find: () => of(found("a"), found("b"), found("c")) },
      });
      const all = await lastValueFrom(endpoints.find(ctx, allEndpoints).pipe(toArray()));
      expect(all.map((one) => one.networkServiceEndpoint?.name)).toEqual(["a", "b", "c"]);
    });

    test("a Find of nothing in particular asks for everything", async () => {
      let endpointQuery: NetworkServiceEndpointQuery | undefined;
      let serviceQuery: NetworkServiceQuery | undefined;
      const remote = await remoteTo({
        endpoints: {
          ...noRegistry,
          find: (_c, query) => {
            endpointQuery = query;
            return of(found("a"));
          },
        },
        networkServices: {
          ...noRegistry,
          find: (_c, query) => {
            serviceQuery = query;
            return of(NetworkServiceResponse.create());
          },
        },
      });
      await lastValueFrom(remote.endpoints.find(ctx, { watch: false, networkServiceEndpoint: undefined }));
      await lastValueFrom(remote.networkServices.find(ctx, { watch: false, networkService: undefined }));
      expect(endpointQuery?.networkServiceEndpoint).toEqual(NetworkServiceEndpoint.create());
      expect(serviceQuery?.networkService).toEqual(NetworkServiceEntry.create());
    });

    test("an error of a stream comes after what was said before it", async () => {
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          find: () =>
            concat(
              of(found("a")),
              throwError(() => new NsmError(Code.Unavailable, "the store is gone")),
            ),
        },
      });
      const names: (string | undefined)[] = [];
      const error = await failure(
        new Promise((resolve, reject) =>
          endpoints.find(ctx, allEndpoints).subscribe({
            next: (one) => names.push(one.networkServiceEndpoint?.name),
            error: reject,
            complete: () => resolve(undefined),
          }),
        ),
      );
      expect(names).toEqual(["a"]);
      expect(error.code).toBe(Code.Unavailable);
      expect(explain(error)).toContain("the store is gone");
    });

    test("unsubscribing ends the stream at the server", async () => {
      const source = new Subject<NetworkServiceEndpointResponse>();
      const gone = deferred<void>();
      const subscribed = deferred<AbortSignal>();
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          find: (c) => {
            subscribed.resolve(c.signal);
            return source.pipe(finalize(gone.resolve));
          },
        },
      });
      const subscription = endpoints.find(ctx, watchEndpoints).subscribe();
      const server = await subscribed.promise;
      subscription.unsubscribe();
      await gone.promise;
      expect(server.aborted).toBe(true);
      expect(source.observed).toBe(false);
    });

    test("a cancelled Context ends the stream on both sides", async () => {
      const gone = deferred<void>();
      const subscribed = deferred<void>();
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          find: () => {
            subscribed.resolve();
            return NEVER.pipe(finalize(gone.resolve));
          },
        },
      });
      const controller = new AbortController();
      const watch = failure(
        ctx.withSignal(controller.signal, (c) => lastValueFrom(endpoints.find(c, watchEndpoints))),
      );
      await subscribed.promise;
      controller.abort(new NsmError(Code.Cancelled, "not wanted any more"));
      expect((await watch).code).toBe(Code.Cancelled);
      await gone.promise;
    });

    test("each subscription of a Find is a call of its own", async () => {
      let calls = 0;
      const { endpoints } = await remoteTo({
        endpoints: {
          ...noRegistry,
          find: () => {
            calls++;
            return of(found("a"));
          },
        },
      });
      const find = endpoints.find(ctx, allEndpoints);
      expect(calls).toBe(0);
      await lastValueFrom(find);
      await lastValueFrom(find);
      expect(calls).toBe(2);
    });

    test("when the server dies, calls and streams end in UNAVAILABLE", async () => {
      const started = deferred<AbortSignal>();
      const server = await kit.listen({
        networkService: { ...echo, request: hanging(started.resolve) },
        monitor: { monitorConnections: () => concat(of(initial({})), NEVER) },
      });
      const { networkService, monitor } = kit.remotes.to(server.url);
      const call = failure(networkService.request(ctx, request));
      const opened = deferred<void>();
      const stream = failure(
        new Promise((resolve, reject) =>
          monitor.monitorConnections(ctx, MonitorScopeSelector.create()).subscribe({
            next: () => opened.resolve(),
            error: reject,
            complete: () => resolve(undefined),
          }),
        ),
      );
      const signal = await started.promise;
      await opened.promise;
      await server.kill();
      expect((await call).code).toBe(Code.Unavailable);
      expect((await stream).code).toBe(Code.Unavailable);
      await aborted(signal);
    });

    test("a large initial set comes in pieces: one INITIAL_STATE_TRANSFER, then UPDATEs", async () => {
      const ids = Array.from({ length: 250 }, (_, i) => `c${i}`);
      const { monitor } = await remoteTo({
        monitor: {
          monitorConnections: () =>
            of(initial(Object.fromEntries(ids.map((id) => [id, Connection.create({ id })])))),
        },
      });
      const events = await lastValueFrom(
        monitor.monitorConnections(ctx, MonitorScopeSelector.create()).pipe(toArray()),
      );
      expect(events.map(({ type }) => type)).toEqual([
        ConnectionEventType.INITIAL_STATE_TRANSFER,
        ...events.slice(1).map(() => ConnectionEventType.UPDATE),
      ]);
      expect(events.length).toBeGreaterThan(1);
      expect(events.flatMap(({ connections }) => Object.keys(connections))).toEqual(ids);
    });

    test("an empty initial set is sent too", async () => {
      const { monitor } = await remoteTo({ monitor: { monitorConnections: () => of(initial({})) } });
      const events = await lastValueFrom(
        monitor.monitorConnections(ctx, MonitorScopeSelector.create()).pipe(toArray()),
      );
      expect(events).toEqual([initial({})]);
    });

    test("health tells of each service, of the whole, and of what there is not", async () => {
      const server = await kit.listen({ networkService: echo, endpoints: noRegistry });
      const { health } = kit.remotes.to(server.url);
      await expect(health.check(ctx)).resolves.toBe(true);
      await expect(health.check(ctx, "networkservice.NetworkService")).resolves.toBe(true);
      await expect(health.check(ctx, "registry.NetworkServiceEndpointRegistry")).resolves.toBe(true);
      expect((await failure(health.check(ctx, "connection.MonitorConnection"))).code).toBe(Code.NotFound);

      server.setServing("networkservice.NetworkService", false);
      await expect(health.check(ctx, "networkservice.NetworkService")).resolves.toBe(false);
      await expect(health.check(ctx)).resolves.toBe(false);
    });

    test("a health watch tells the state and its changes", async () => {
      const server = await kit.listen({ networkService: echo });
      const { health } = kit.remotes.to(server.url);
      const states: boolean[] = [];
      let wake = (): void => {};
      const subscription = health.watch(ctx, "networkservice.NetworkService").subscribe((state) => {
        states.push(state);
        wake();
      });
      const until = async (count: number): Promise<void> => {
        while (states.length < count) await new Promise<void>((resolve) => (wake = resolve));
      };
      await until(1);
      server.setServing("networkservice.NetworkService", false);
      await until(2);
      server.setServing("networkservice.NetworkService", true);
      await until(3);
      subscription.unsubscribe();
      expect(states).toEqual([true, false, true]);
    });

    test("closing the remotes cancels what is under way, and what comes later", async () => {
      const started = deferred<AbortSignal>();
      const { networkService, endpoints } = await remoteTo({
        networkService: { ...echo, request: hanging(started.resolve) },
        endpoints: { ...noRegistry, find: () => concat(of(found("a")), NEVER) },
      });
      const opened = deferred<void>();
      const stream = failure(
        new Promise((resolve, reject) =>
          endpoints.find(ctx, watchEndpoints).subscribe({
            next: () => opened.resolve(),
            error: reject,
            complete: () => resolve(undefined),
          }),
        ),
      );
      const call = failure(networkService.request(ctx, request));
      const server = await started.promise;
      await opened.promise;
      kit.remotes.close();
      expect((await call).code).toBe(Code.Cancelled);
      expect((await stream).code).toBe(Code.Cancelled);
      await aborted(server);
      expect((await failure(networkService.request(ctx, request))).code).toBe(Code.Cancelled);
    });
  });
}

const echo: NonNullable<Services["networkService"]> = {
  request: async (_ctx, { connection }) => connection!,
  close: async () => {},
};

const noRegistry = {
  register: <E>(_ctx: Context, entry: E): Promise<E> => Promise.resolve(entry),
  find: () => throwError(() => new NsmError(Code.Internal, "not asked for")),
  unregister: async () => {},
};

const allEndpoints = NetworkServiceEndpointQuery.create({ networkServiceEndpoint: {} });
const watchEndpoints = NetworkServiceEndpointQuery.create({ networkServiceEndpoint: {}, watch: true });

function found(name: string): NetworkServiceEndpointResponse {
  return NetworkServiceEndpointResponse.create({ networkServiceEndpoint: { name } });
}

function initial(connections: { [id: string]: Connection }): ConnectionEvent {
  return ConnectionEvent.create({ type: ConnectionEventType.INITIAL_STATE_TRANSFER, connections });
}

/** A Request that tells its signal and then waits for it. */
function hanging(started: (signal: AbortSignal) => void): (ctx: Context) => Promise<never> {
  return ({ signal }) => {
    started(signal);
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
    );
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** What the work failed with; it must fail. */
async function failure(work: Promise<unknown>): Promise<NsmError> {
  const outcome = await work.then(
    () => "it succeeded",
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(NsmError);
  return outcome as NsmError;
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((r) => (resolve = r));
  return { promise, resolve };
}
