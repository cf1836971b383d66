import { describe, expect, test } from "vitest";
import {
  attempt,
  Code,
  tryEach,
  NsmError,
  Slot,
  type Context,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginServer } from "../../src/elements/begin/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { failAfter, failOnce, run, virtualClock } from "../../src/testing/index.js";

/** A pool of numbers, and an element that allocates one per connection. */
function pool(name = "pool", release?: (value: number, ctx: Context) => void | Promise<void>) {
  const held = new Set<number>();
  const released: string[] = [];
  let last = 0;
  const slot = new Slot<number>(name, {
    release: async (value, ctx) => {
      await release?.(value, ctx);
      held.delete(value);
      released.push(`${name} ${value}`);
    },
  });
  const take = (ctx: Context): number => {
    held.add(++last);
    slot.set(ctx, last);
    return last;
  };
  const element: NetworkServiceElement = {
    name,
    inside: ["connection-state"],
    debugState: () => ({ held: held.size }),
    request(ctx, request, next) {
      if (slot.get(ctx) === undefined) take(ctx);
      return next.request(ctx, request);
    },
  };
  return { element, slot, take, held, released };
}

const refuse = (code: Code = Code.PermissionDenied): Promise<never> =>
  Promise.reject(new NsmError(code, "refused by an outer element"));

/** Rejects the answer of the first Request after the rest of the chain has succeeded. */
function refusing(): NetworkServiceElement {
  let refused = false;
  return {
    name: "refusing",
    async request(ctx, request, next) {
      const response = await next.request(ctx, request);
      if (refused) return response;
      refused = true;
      return refuse();
    },
  };
}

describe("a slot with release", () => {
  test("releases its value when the connection is closed, even if the Close fails later in the chain", async () => {
    const own = pool();
    const { request, close, leftovers } = run([
      connectionState(),
      own.element,
      failOnce(Code.Unavailable, "close"),
    ]);
    await request();
    expect(own.held.size).toBe(1);
    await expect(close()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["further on", (inner: NetworkServiceElement) => [inner, failOnce(Code.Unavailable)]],
    ["in an element between connection-state and it", (inner: NetworkServiceElement) => [refusing(), inner]],
  ])("releases its value when the first Request fails %s", async (_where, elements) => {
    const own = pool();
    const { request, leftovers } = run([connectionState(), ...elements(own.element)]);
    await expect(request()).rejects.toBeInstanceOf(NsmError);
    expect(leftovers()).toEqual({});
    expect(own.released).toEqual(["pool 1"]);
  });

  test("releases its value when an element between begin and connection-state rejects the answer", async () => {
    const own = pool();
    const { request, leftovers } = run([
      updatePath({ name: "nse" }),
      beginServer(),
      refusing(),
      connectionState(),
      own.element,
    ]);
    await expect(request()).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(leftovers()).toEqual({});
  });

  test("releases the values of a connection in reverse order, one at a time", async () => {
    const order: string[] = [];
    const slow = async (name: string): Promise<void> => {
      order.push(`${name} begins`);
      await Promise.resolve();
      order.push(`${name} ends`);
    };
    const elements = ["a", "b", "c"].map((name) => pool(name, () => slow(name)).element);
    const { request, close } = run([connectionState(), elements]);
    await request();
    // A refresh does not change the order.
    await request();
    await close();
    expect(order).toEqual(["c begins", "c ends", "b begins", "b ends", "a begins", "a ends"]);
  });

  test("collects the failures of releases into one error, and continues with the others", async () => {
    const failing = (): never => {
      throw new NsmError(Code.Internal, "stuck");
    };
    const [one, two, three] = [pool("one", failing), pool("two"), pool("three", failing)];
    const { request, close } = run([connectionState(), one.element, two.element, three.element]);
    await request();
    await expect(close()).rejects.toMatchObject({ code: Code.Internal, cause: { errors: { length: 2 } } });
    expect(two.held.size).toBe(0);
  });

  test("gives a release its own time limit when the caller has canceled", async () => {
    const aborted: boolean[] = [];
    const own = pool("pool", (_value, ctx) => void aborted.push(ctx.signal.aborted));
    const caller = new AbortController();
    const { send, ctx, leftovers } = run([
      connectionState(),
      own.element,
      { name: "canceling", request: () => (caller.abort(), refuse(Code.Cancelled)) },
    ]);
    const { sampleRequest } = await import("../../src/testing/messages.js");
    await expect(ctx.withSignal(caller.signal, (c) => send(sampleRequest(0), c))).rejects.toThrow();
    expect(aborted).toEqual([false]);
    expect(leftovers()).toEqual({});
  });

  test("releases a replaced value once the Request has succeeded, and keeps the earlier one when it fails", async () => {
    const own = pool();
    const renewing: NetworkServiceElement = {
      name: "renewing",
      request: (ctx, request, next) => (own.take(ctx), next.request(ctx, request)),
    };
    const { request, close, leftovers } = run([
      connectionState(),
      renewing,
      { ...own.element, name: "pool" },
      failAfter(2, Code.Unavailable),
    ]);
    await request();
    await request();
    expect([...own.held]).toEqual([2]);
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([...own.held]).toEqual([2]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test("does not release a taken value", async () => {
    const own = pool();
    const taken: unknown[] = [];
    const { request, close } = run([
      connectionState(),
      own.element,
      {
        name: "taking",
        close: (ctx, connection, next) => (taken.push(own.slot.take(ctx)), next.close(ctx, connection)),
      },
    ]);
    await request();
    await close();
    expect([taken, own.released]).toEqual([[1], []]);
  });

  test("releases a value at once that is set after the connection has ended", async () => {
    const own = pool();
    let late!: Context;
    const clock = virtualClock();
    const { request, close } = run(
      [
        connectionState(),
        { name: "keeping", request: (ctx, r, next) => ((late = ctx), next.request(ctx, r)) },
        own.element,
      ],
      { clock },
    );
    await request();
    await close();
    own.take(late);
    await clock.settle();
    expect(own.held.size).toBe(0);
  });
});

describe("attempts", () => {
  test("release the values of a failed try before the next one begins", async () => {
    const own = pool();
    const heldAtNext: number[] = [];
    const { request, close, leftovers } = run([
      connectionState(),
      {
        name: "trying",
        request: (ctx, r, next) =>
          tryEach(
            ctx,
            [1, 2, 3],
            () => (heldAtNext.push(own.held.size), next.request(ctx, r)),
            () => "all failed",
          ),
      },
      own.element,
      failOnce(Code.Unavailable),
    ]);
    await request();
    expect(heldAtNext).toEqual([0, 0]);
    expect([...own.held]).toEqual([2]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test("keep the values that were set before them", async () => {
    const word = new Slot<string>("word");
    const found: unknown[] = [];
    const { request } = run([
      connectionState(),
      {
        name: "trying",
        async request(ctx, r, next) {
          word.set(ctx, "before");
          await attempt(ctx, async () => (word.set(ctx, "within"), refuse())).catch(() => {});
          found.push(word.get(ctx));
          return next.request(ctx, r);
        },
      },
    ]);
    await request();
    expect(found).toEqual(["before"]);
  });
});
