import { EMPTY, lastValueFrom, of, toArray } from "rxjs";
import { describe, expect, test } from "vitest";
import { NetworkServiceEndpointQuery } from "../../src/api/index.js";
import {
  chain,
  Code,
  Context,
  ContextKey,
  debugState,
  endpointRegistryChain,
  NsmError,
  Slot,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
  type TraceHook,
} from "../../src/core/index.js";
import { sampleConnection, sampleEndpoint, sampleRequest } from "../../src/testing/index.js";

const ctx = Context.background();
const request = sampleRequest(0);

/** Records when it is entered and left. */
function recordCalls(calls: string[], name: string, inside: string[] = []): NetworkServiceElement {
  return {
    name,
    inside,
    async request(c, r, next) {
      calls.push(`> ${name}`);
      try {
        return await next.request(c, r);
      } finally {
        calls.push(`< ${name}`);
      }
    },
  };
}

describe("a chain", () => {
  test("runs its elements from left to right and unwinds from right to left, at any nesting depth", async () => {
    const calls: string[] = [];
    const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name) => recordCalls(calls, name)) as [
      NetworkServiceElement,
      NetworkServiceElement,
      NetworkServiceElement,
      NetworkServiceElement,
      NetworkServiceElement,
    ];
    await chain([a, [], [b, [[[c]], d]], [[]], e]).request(ctx, request);
    expect(calls).toEqual(["> a", "> b", "> c", "> d", "> e", "< e", "< d", "< c", "< b", "< a"]);
  });

  test("stops descending at an error but still unwinds", async () => {
    const calls: string[] = [];
    const failure = new NsmError(Code.Aborted, "no further");
    const elements = [
      recordCalls(calls, "a"),
      recordCalls(calls, "b"),
      { name: "stop", request: () => Promise.reject(failure) },
      recordCalls(calls, "c"),
    ];
    await expect(chain(elements).request(ctx, request)).rejects.toBe(failure);
    expect(calls).toEqual(["> a", "> b", "< b", "< a"]);
  });

  test("answers a Request with its own connection by default, and a Close with nothing", async () => {
    expect(await chain([]).request(ctx, request)).toBe(request.connection);
    expect(await chain([[], [[]]]).close(ctx, sampleConnection(0))).toBeUndefined();
  });

  test("rejects a Request without a connection at its end", async () => {
    await expect(chain([]).request(ctx, { ...request, connection: undefined })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  });

  test("skips elements without the method", async () => {
    const closed: string[] = [];
    const elements: NetworkServiceElement[] = [
      { name: "nothing" },
      {
        name: "closer",
        close: async (c, connection, next) => (closed.push("closer"), next.close(c, connection)),
      },
      recordCalls([], "requester"),
    ];
    const linked = chain(elements);
    expect(await linked.request(ctx, request)).toBe(request.connection);
    await linked.close(ctx, sampleConnection(0));
    expect(closed).toEqual(["closer"]);
  });

  test("calls its tail with the argument of the last element", async () => {
    const key = new ContextKey<string>("word");
    const tail: NetworkService = {
      request: async (c, { connection }) => ({ ...connection!, networkService: c.get(key) ?? "none" }),
      close: async () => {},
    };
    const answering: NetworkServiceElement = {
      name: "saying",
      request: (c, r, next) => next.request(c.with(key, "hello"), r),
    };
    expect(await chain([answering], { tail }).request(ctx, request)).toMatchObject({
      networkService: "hello",
    });
  });

  test("keeps an element's methods bound to it", async () => {
    class Counting {
      readonly name = "counting";
      calls = 0;
      request(c: Context, r: typeof request, next: NetworkService): ReturnType<NetworkService["request"]> {
        this.calls++;
        return next.request(c, r);
      }
    }
    const element = new Counting();
    await chain([element]).request(ctx, request);
    expect(element.calls).toBe(1);
  });

  test("passes the same next to an element for its whole life", async () => {
    const seen = new Set<NetworkService>();
    const linked = chain([
      { name: "a", request: (c, r, next) => (seen.add(next), next.request(c, r)) },
      { name: "b", close: async () => {} },
    ]);
    await linked.request(ctx, request);
    await linked.request(ctx, request);
    expect(seen.size).toBe(1);
  });

  test("links registries with the same runner", async () => {
    const linked = endpointRegistryChain([
      { name: "renaming", register: (c, entry, next) => next.register(c, { ...entry, name: "renamed" }) },
      {
        name: "finding",
        find: () => of({ networkServiceEndpoint: sampleEndpoint(0), deleted: false }),
      },
    ]);
    expect(await linked.register(ctx, sampleEndpoint(0))).toMatchObject({ name: "renamed" });
    const query = NetworkServiceEndpointQuery.create();
    expect(await lastValueFrom(linked.find(ctx, query).pipe(toArray()))).toHaveLength(1);
    expect(endpointRegistryChain([]).find(ctx, query)).toBe(EMPTY);
    await expect(linked.unregister(ctx, sampleEndpoint(0))).resolves.toBeUndefined();
  });
});

describe("inside", () => {
  test("are checked when the chain is built", () => {
    const calls: string[] = [];
    expect(() => chain([recordCalls(calls, "refresh", ["begin"])])).toThrow(
      new NsmError(
        Code.FailedPrecondition,
        "refresh must stand inside begin, which this chain lacks: put begin before refresh",
      ),
    );
    expect(() => chain([recordCalls(calls, "refresh", ["begin"]), recordCalls(calls, "begin")])).toThrow(
      "refresh must stand inside begin: put begin before refresh",
    );
    expect(() => chain([recordCalls(calls, "beginning"), recordCalls(calls, "refresh", ["begin"])])).toThrow(
      "refresh must stand inside begin, which this chain lacks: put begin before refresh",
    );
  });

  test("are satisfied by an element of that name, or by one of its sides, at any depth", () => {
    const calls: string[] = [];
    expect(() => {
      chain([[recordCalls(calls, "begin")], [[recordCalls(calls, "refresh", ["begin"])]]]);
      chain([recordCalls(calls, "begin/server"), recordCalls(calls, "refresh", ["begin"])]);
    }).not.toThrow();
  });
});

describe("outside", () => {
  const element = (name: string, outside: string[] = []): NetworkServiceElement => ({ name, outside });

  test("is checked for the elements that the chain contains", () => {
    chain([element("monitor", ["trim-path"])]);
    chain([element("monitor", ["trim-path"]), element("trim-path/server")]);
    expect(() => chain([element("trim-path/server"), element("monitor", ["trim-path"])])).toThrow(
      new NsmError(
        Code.FailedPrecondition,
        "monitor must stand outside trim-path/server: put monitor before trim-path/server",
      ),
    );
  });
});

describe("reads", () => {
  const key = new ContextKey<string>("candidates");
  const provider: NetworkServiceElement = { name: "discover", provides: [key] };
  const reader: NetworkServiceElement = { name: "round-robin", reads: [key] };

  test("requires that the provider of a context key comes first", () => {
    chain([provider, reader]);
    chain([reader]);
    expect(() => chain([reader, provider])).toThrow(
      new NsmError(
        Code.FailedPrecondition,
        'round-robin reads "candidates", which discover provides: put discover before round-robin',
      ),
    );
  });

  test("does not order slots, which elements also read on the way back", () => {
    const slot = new Slot<string>("next-hop");
    const elements = [
      { name: "heal", reads: [slot] },
      { name: "dial", provides: [slot] },
    ];
    expect(() => chain(elements)).not.toThrow();
  });
});

describe("nested chains", () => {
  const inner: NetworkServiceElement = { name: "inner", inside: ["begin"], outside: ["connect"] };
  const choosing = (elements: Elements<NetworkService>): NetworkServiceElement => {
    const nested = chain.nest(elements);
    return {
      name: "choosing",
      nested: [elements],
      request: (c, r, next) => nested(next).request(c, r),
    };
  };

  test("are checked together with the enclosing chain", () => {
    chain([{ name: "begin" }, choosing([inner])]);
    expect(() => chain([choosing([inner])])).toThrow(
      "inner must stand inside begin, which this chain lacks: put begin before inner",
    );
    expect(() => chain([{ name: "begin" }, { name: "connect" }, choosing([inner])])).toThrow(
      "inner must stand outside connect: put inner before connect",
    );
  });

  test("are checked by nest() as far as their own elements allow", () => {
    expect(() => chain.nest([inner])).not.toThrow();
    expect(() => chain.nest([inner, { name: "begin" }])).toThrow(
      "inner must stand inside begin: put begin before inner",
    );
  });

  test("count as held by the element that selects between them", () => {
    const holding: NetworkServiceElement = { name: "holding", debugState: () => ({ timers: 2 }) };
    expect(debugState([choosing([holding])])).toEqual({ choosing: { holding: { timers: 2 } } });
  });
});

describe("nest", () => {
  test("runs its elements before next", async () => {
    const calls: string[] = [];
    const nested = chain.nest([recordCalls(calls, "inner"), [recordCalls(calls, "innermost")]]);
    const choosing: NetworkServiceElement = {
      name: "choosing",
      request: (c, r, next) => nested(next).request(c, r),
    };
    await chain([choosing, recordCalls(calls, "behind")]).request(ctx, request);
    expect(calls).toEqual(["> inner", "> innermost", "> behind", "< behind", "< innermost", "< inner"]);
  });

  test("links once for each next", () => {
    const nested = chain.nest([{ name: "any" }]);
    const [one, two] = [chain([]), chain([{ name: "other" }])];
    expect(nested(one)).toBe(nested(one));
    expect(nested(two)).not.toBe(nested(one));
  });
});

describe("the trace hook", () => {
  test("observes nothing while it is disabled", async () => {
    let enabled = false;
    const seen: string[] = [];
    const observe = <R>({
      element,
      ctx: c,
      proceed,
    }: {
      element: string;
      ctx: Context;
      proceed: (c: Context) => R;
    }): R => {
      seen.push(element);
      return proceed(c);
    };
    const trace: TraceHook = Object.assign(observe, { isEnabled: () => enabled });
    const linked = chain([recordCalls([], "a")], { trace });

    await linked.request(ctx, request);
    enabled = true;
    await linked.request(ctx, request);
    expect(seen).toEqual(["a"]);
  });

  test("sees every call of every element that has the method, and may change the Context", async () => {
    const depth = new ContextKey<number>("depth");
    const seen: string[] = [];
    const trace: TraceHook = ({ element, method, ctx: c, arg, proceed }) => {
      const level = c.get(depth) ?? 0;
      seen.push(
        `${level} ${element}/${method} ${"connection" in (arg as object) ? "request" : "connection"}`,
      );
      return proceed(c.with(depth, level + 1));
    };
    const linked = chain([recordCalls([], "a"), { name: "silent" }, [recordCalls([], "b")]], { trace });
    await linked.request(ctx, request);
    await linked.close(ctx, sampleConnection(0));
    expect(seen).toEqual(["0 a/request request", "1 b/request request"]);
  });

  test("sees the elements of nested chains, including those that end in the chain's tail", async () => {
    const seen: string[] = [];
    const trace: TraceHook = ({ element, ctx: c, proceed }) => {
      seen.push(element);
      return proceed(c);
    };
    const nested = chain.nest([recordCalls([], "inner"), recordCalls([], "innermost")]);
    const choosing: NetworkServiceElement = {
      name: "choosing",
      request: (c, r, next) => nested(next).request(c, r),
    };
    await chain([choosing, recordCalls([], "behind")], { trace }).request(ctx, request);
    await chain([choosing], { trace }).request(ctx, request);
    expect(seen).toEqual(["choosing", "inner", "innermost", "behind", "choosing", "inner", "innermost"]);
  });

  test("receives the result or the failure of the element", async () => {
    const failure = new NsmError(Code.NotFound, "nowhere");
    const results: unknown[] = [];
    const trace: TraceHook = ({ proceed, ctx: c }) => {
      const result = proceed(c);
      (result as Promise<unknown>).catch((error: unknown) => results.push(error));
      return result;
    };
    const linked = chain([{ name: "failing", request: () => Promise.reject(failure) }], { trace });
    await expect(linked.request(ctx, request)).rejects.toBe(failure);
    expect(results).toEqual([failure]);
  });
});

describe("debugState", () => {
  const holding = (name: string, state: Record<string, number>): NetworkServiceElement => ({
    name,
    debugState: () => state,
  });

  test("is empty when no resources are held", () => {
    expect(debugState([{ name: "silent" }, [holding("a", { timers: 0 })]])).toEqual({});
  });

  test("reports resources by element without zeros, and adds elements of the same name", () => {
    const nested: NetworkServiceElement = { name: "c", debugState: () => ({ pool: { taken: 1, free: 0 } }) };
    const elements = [
      holding("a", { timers: 1, streams: 0 }),
      [holding("b", { held: 2 }), [holding("a", { timers: 2, sockets: 1 })]],
      nested,
      nested,
    ];
    expect(debugState(elements)).toEqual({
      a: { timers: 3, sockets: 1 },
      b: { held: 2 },
      c: { pool: { taken: 2 } },
    });
  });
});
