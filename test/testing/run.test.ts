import { describe, expect, test } from "vitest";
import { of } from "rxjs";
import {
  connectionOf,
  NetworkServiceEndpointResponse,
  pathOf,
  type NetworkServiceEndpoint,
} from "../../src/api/index.js";
import {
  chain,
  Code,
  NsmError,
  Slot,
  type CancelTimer,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { registrationState } from "../../src/registry/elements/registration-state/index.js";
import { recorder, run, runRegistry, sampleConnection, sampleEndpoint } from "../../src/testing/index.js";

const passing = recorder();

describe("run", () => {
  test("sends the sample request, patched, and keeps its id so that a second call is a refresh", async () => {
    const { request } = run([]);
    const first = await request({ labels: { app: "nsc" } });
    const second = await request();
    expect(first).toMatchObject({ networkService: "icmp", labels: { app: "nsc" }, path: { index: 0 } });
    expect(second.id).toBe(first.id);
  });

  test("also puts a patched ID into the path", async () => {
    const { request } = run([]);
    expect(await request({ id: "other" })).toMatchObject({
      id: "other",
      path: { pathSegments: [{ id: "other" }] },
    });
  });

  test("refreshes and closes what the last call returned", async () => {
    const closed: unknown[] = [];
    const { request, refresh, close } = run([], {
      tail: {
        request: async (_ctx, { connection }) => ({ ...connection!, networkServiceEndpointName: "nse" }),
        close: async (_ctx, connection) => void closed.push(connection.networkServiceEndpointName),
      },
    });
    await request();
    expect(await refresh({ payload: "IP" })).toMatchObject({
      payload: "IP",
      networkServiceEndpointName: "nse",
    });
    await close();
    await close(sampleConnection(0));
    expect(closed).toEqual(["nse", ""]);
  });

  test("counts as leftovers what elements hold, armed timers and abort listeners", async () => {
    const timer = new Slot<CancelTimer>("forgotten");
    const { request, close, leftovers } = run([
      connectionState(),
      {
        name: "forgetful",
        async request(ctx, request, next) {
          timer.set(
            ctx,
            ctx.clock.after(1_000, () => {}),
          );
          ctx.signal.addEventListener("abort", () => {});
          return next.request(ctx, request);
        },
      },
    ]);
    expect(leftovers()).toEqual({});
    await request();
    expect(leftovers()).toEqual({ "connection-state": { connections: 1 }, timers: 1, listeners: 1 });
    await close();
    expect(leftovers()).toEqual({ timers: 1, listeners: 1 });
  });
});

/** An element that writes to what it was given, and one that writes to what it was answered. */
const mutating: readonly [string, NetworkServiceElement][] = [
  [
    "the request",
    {
      name: "mutating",
      request(ctx, request, next) {
        (connectionOf(request).labels as Record<string, string>)["app"] = "mine";
        return next.request(ctx, request);
      },
    },
  ],
  [
    "the answer",
    {
      name: "mutating",
      async request(ctx, request, next) {
        const response = await next.request(ctx, request);
        (pathOf(response).pathSegments as unknown[]).pop();
        return response;
      },
    },
  ],
];

describe.each(mutating)("an element that writes to %s", (_what, element) => {
  test("fails in a chain under test", async () => {
    const { request } = run([element, passing]);
    await expect(request()).rejects.toThrow(TypeError);
  });

  test("fails in a chain that an element nests", async () => {
    const inner = chain.nest([element, passing]);
    const { request } = run([
      { name: "nesting", request: (ctx, request, next) => inner(next).request(ctx, request) },
    ]);
    await expect(request()).rejects.toThrow(TypeError);
  });
});

describe("runRegistry", () => {
  test("freezes what is registered and found", async () => {
    const entries: NetworkServiceEndpoint[] = [];
    const { register, find } = runRegistry([passing], {
      tail: {
        register: async (_ctx, entry) => (entries.push(entry), entry),
        unregister: async () => {},
        find: () => of(NetworkServiceEndpointResponse.create({ networkServiceEndpoint: sampleEndpoint(0) })),
      },
    });
    await register();
    const [found] = await find();
    expect(Object.isFrozen(entries[0]!.networkServiceNames)).toBe(true);
    expect(Object.isFrozen(found!.networkServiceEndpoint!.networkServiceNames)).toBe(true);
  });

  test("registers the sample endpoint, patched, and unregisters what the last call returned", async () => {
    const unregistered: string[] = [];
    const { register, unregister, leftovers } = runRegistry([
      registrationState(),
      {
        name: "renaming",
        register: async (ctx, entry, next) => next.register(ctx, { ...entry, name: `${entry.name}-1` }),
        unregister: async (_ctx, entry) => void unregistered.push(entry.name),
      },
    ]);
    expect(await register({ url: "tcp://127.0.0.1:7000" })).toMatchObject({
      name: "nse-1",
      url: "tcp://127.0.0.1:7000",
    });
    await unregister();
    await unregister(sampleEndpoint(0, { name: "other" }));
    expect(unregistered).toEqual(["nse-1", "other"]);
    expect(leftovers()).toEqual({ "registration-state": { registrations: 1 } });
  });

  test("finds with a query that contains only the patch", async () => {
    const queries: unknown[] = [];
    const { find } = runRegistry([], {
      tail: {
        register: async (_ctx, entry) => entry,
        unregister: async () => {},
        find(_ctx, query) {
          queries.push(query);
          return of(NetworkServiceEndpointResponse.create({ networkServiceEndpoint: sampleEndpoint(0) }));
        },
      },
    });
    expect(await find({ name: "nse" })).toHaveLength(1);
    expect(queries).toMatchObject([
      {
        watch: false,
        networkServiceEndpoint: { name: "nse", networkServiceNames: [], url: "", expirationTime: undefined },
      },
    ]);
  });

  test("fails a call with what the chain failed with", async () => {
    const error = new NsmError(Code.NotFound, "nothing of that name");
    const { register } = runRegistry([{ name: "no", register: () => Promise.reject(error) }]);
    await expect(register()).rejects.toBe(error);
  });
});
