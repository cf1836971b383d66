import { concat, finalize, lastValueFrom, NEVER, of, Subject, throwError, toArray } from "rxjs";
import { expect, test } from "vitest";
import {
  Connection,
  ConnectionEventType,
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse,
  NetworkServiceResponse,
  NetworkServiceQuery,
  NetworkServiceEntry,
  MonitorScopeSelector,
} from "../../src/api/index.js";
import { Code, explain, NsmError } from "../../src/core/index.js";
import { registrationPath, type RegistrationPath } from "../../src/wire/index.js";
import {
  kit,
  ctx,
  remoteTo,
  request,
  nse,
  echo,
  noRegistry,
  allEndpoints,
  watchEndpoints,
  found,
  initial,
  hanging,
  aborted,
  failure,
  deferred,
} from "./remote-kit.js";

/** Registrations, streams, health, and what the end of either side does to them. */
export function streamTests(): void {
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

  test("an empty Find returns everything", async () => {
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

  test("an error of a stream follows the messages before it", async () => {
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

  test("a canceled Context ends the stream on both sides", async () => {
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

  test("health reports each service, the whole server, and unknown services", async () => {
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

  test("a health watch reports the state and its changes", async () => {
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

  test("closing the remotes cancels calls in progress and later ones", async () => {
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
}
