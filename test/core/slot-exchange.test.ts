import { expect, test } from "vitest";
import {
  Code,
  Context,
  logger,
  NsmError,
  replaceable,
  silent,
  Slot,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginServer } from "../../src/elements/begin/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { hold, run, virtualClock } from "../../src/testing/index.js";

/** A slot of words that records the released values. */
function recordingSlot(name = "word") {
  const released: string[] = [];
  let gate: Promise<void> | undefined;
  const slot = new Slot<string>(name, {
    release: async (word) => {
      await gate;
      released.push(word);
    },
    adopt: (word) => word,
    abandon: () => {},
  });
  return { slot, released, wait: (until: Promise<void>) => void (gate = until) };
}

/** An element that runs these steps in its Requests, one per Request. */
function doing(
  slot: Slot<string>,
  ...jobs: readonly ((ctx: Context) => void | Promise<void>)[]
): NetworkServiceElement {
  let calls = 0;
  return {
    name: "doing",
    provides: [slot],
    async request(ctx, request, next) {
      await jobs[calls++]?.(ctx);
      return next.request(ctx, request);
    },
  };
}

test("a value that a failing Request set again after another one is kept", async () => {
  const { slot, released } = recordingSlot();
  const { request, close } = run([
    connectionState(),
    doing(
      slot,
      (ctx) => slot.set(ctx, "a"),
      (ctx) => {
        slot.set(ctx, "b");
        slot.set(ctx, "a");
        throw new NsmError(Code.Unavailable, "no");
      },
    ),
  ]);
  await request();
  await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
  expect(released).toEqual(["b"]);
  await close();
  expect(released).toEqual(["b", "a"]);
});

test("a value that is replaced twice in one Request is released once", async () => {
  const { slot, released } = recordingSlot();
  const { request, close } = run([
    connectionState(),
    doing(
      slot,
      (ctx) => slot.set(ctx, "a"),
      (ctx) => ["b", "a", "b"].forEach((word) => slot.set(ctx, word)),
    ),
  ]);
  await request();
  await request();
  expect(released).toEqual(["a"]);
  await close();
  expect(released).toEqual(["a", "b"]);
});

test("a value that a Close replaces is released", async () => {
  const { slot, released } = recordingSlot();
  const { request, close } = run([
    connectionState(),
    {
      ...doing(slot, (ctx) => slot.set(ctx, "a")),
      close: (ctx, connection, next) => (slot.set(ctx, "b"), next.close(ctx, connection)),
    },
  ]);
  await request();
  await close();
  expect(released.sort()).toEqual(["a", "b"]);
});

test("a value that is set while a Close releases the others is released at once", async () => {
  const [slow, late] = [recordingSlot("slow"), recordingSlot("late")];
  let open!: () => void;
  let kept!: Context;
  const { request, close, clock } = run([
    connectionState(),
    doing(slow.slot, (ctx) => ((kept = ctx), slow.slot.set(ctx, "a"))),
  ]);
  await request();
  slow.wait(new Promise((resolve) => (open = resolve)));
  const closing = close();
  await clock.settle();
  late.slot.set(kept, "b");
  await clock.settle();
  expect(late.released).toEqual(["b"]);
  open();
  await closing;
  expect(slow.released).toEqual(["a"]);
});

test("a call on new elements before its connection has moved keeps the values that it set", async () => {
  const [earlier, later] = [recordingSlot(), recordingSlot()];
  const [state, gate] = [connectionState(), hold()];
  const once =
    (slot: Slot<string>, word: string) =>
    (ctx: Context): void => {
      if (slot.get(ctx) === undefined) slot.set(ctx, word);
    };
  const setting = ({ slot }: typeof earlier, word: string): NetworkServiceElement =>
    doing(slot, ...Array.from({ length: 2 }, () => once(slot, word)));
  const own = replaceable([setting(earlier, "a")], { state, around: [state] });
  const { request, close, clock, leftovers } = run([state, gate, own.element]);
  gate.release();
  await request();
  gate.hold();
  const again = request();
  await clock.settle();
  own.replace([setting(later, "b")]);
  gate.release();
  await again;
  await request();
  expect([earlier.released, later.released]).toEqual([["a"], []]);
  await close();
  expect(later.released).toEqual(["b"]);
  expect(leftovers()).toEqual({});
});

test("a connection that is being released when its elements are replaced is released completely", async () => {
  const [first, slow] = [recordingSlot("first"), recordingSlot("slow")];
  const state = connectionState();
  const both: NetworkServiceElement = {
    name: "both",
    provides: [first.slot, slow.slot],
    request(ctx, request, next) {
      first.slot.set(ctx, "a");
      slow.slot.set(ctx, "b");
      return next.request(ctx, request);
    },
  };
  const refusing: NetworkServiceElement = {
    name: "refusing",
    request: (ctx, request, next) =>
      next.request(ctx, request).then(() => Promise.reject(new NsmError(Code.PermissionDenied, "no"))),
  };
  const own = replaceable([both], { state, around: [state] });
  const { request, clock, leftovers } = run([
    updatePath({ name: "a" }),
    beginServer(),
    refusing,
    state,
    own.element,
  ]);
  let open!: () => void;
  slow.wait(new Promise((resolve) => (open = resolve)));
  const refused = expect(request()).rejects.toMatchObject({ code: Code.PermissionDenied });
  await clock.settle();
  own.replace([doing(recordingSlot("first").slot)]);
  open();
  await refused;
  expect([first.released, slow.released]).toEqual([["a"], ["b"]]);
  expect(leftovers()).toEqual({});
});

test("a value that was set again and then taken belongs only to the taker", async () => {
  const { slot, released } = recordingSlot();
  const { request, close } = run([
    connectionState(),
    doing(
      slot,
      (ctx) => slot.set(ctx, "a"),
      (ctx) => {
        slot.set(ctx, "b");
        slot.set(ctx, "a");
        expect(slot.take(ctx)).toBe("a");
      },
    ),
  ]);
  await request();
  await request();
  await close();
  expect(released).toEqual(["b"]);
});

test("elements that are used again do not count as replaced", async () => {
  const state = connectionState();
  let held = 0;
  const slot = new Slot<true>("one", { release: () => void held-- });
  const one: NetworkServiceElement = {
    name: "one",
    provides: [slot],
    debugState: () => ({ held }),
    request(ctx, request, next) {
      if (!slot.get(ctx)) {
        slot.set(ctx, true);
        held++;
      }
      return next.request(ctx, request);
    },
  };
  const own = replaceable([one], { state, around: [state] });
  const { request, close } = run([state, own.element]);
  await request();
  own.replace([]);
  expect(own.debugState()).toEqual({ replaced: { one: { held: 1 } } });
  own.replace([one]);
  expect(own.debugState()).toEqual({ one: { held: 1 } });
  await close();
  expect(own.debugState()).toEqual({});
});

test("a slot that fails to adopt or abandon a value does not affect the others, and values without an heir are released", async () => {
  const released: string[] = [];
  const warnings: string[] = [];
  const fail = (): never => {
    throw new Error("boom");
  };
  const release = (word: string): void => void released.push(word);
  const names = ["first", "second", "third"];
  const earlier = names.map((name) => new Slot<string>(name, { release, abandon: fail }));
  const later = [
    new Slot<string>("first", { release, adopt: fail }),
    ...names.slice(1).map((name) => new Slot<string>(name, { release, adopt: (word: string) => word })),
  ];
  const keeping = (slots: readonly Slot<string>[]): NetworkServiceElement => ({
    name: "keeping",
    provides: slots,
    request(ctx, request, next) {
      for (const slot of slots) if (slot.get(ctx) === undefined) slot.set(ctx, `new ${slot.name}`);
      return next.request(ctx, request);
    },
  });
  const state = connectionState();
  const gate = hold();
  const own = replaceable([keeping(earlier)], { state, around: [state] });
  const clock = virtualClock();
  const warn = (fields: object, message: string): void =>
    void warnings.push(`${message}: ${(fields as { error: string }).error}`);
  const ctx = Context.background({ clock }).with(logger, { ...silent, warn });
  const { request, close, leftovers } = run([state, own.element, gate], { clock, ctx });
  gate.release();
  await request();
  gate.hold();
  const under = request();
  await clock.settle();
  own.replace([keeping(later)]);
  gate.release();
  await under;
  await request();
  expect(released).toEqual(["new first"]);
  expect(warnings).toEqual(Array(3).fill("could not adopt a value of replaced elements: boom"));
  await close();
  expect(released.sort()).toEqual(["new first", "new first", "new second", "new third"]);
  expect(leftovers()).toEqual({});
});

test("a release that never ends fails after its time limit and does not block the others", async () => {
  const word = recordingSlot();
  const stuck = new Slot<string>("stuck", { release: () => new Promise(() => {}) });
  const { request, close, clock, ctx, leftovers } = run([
    updatePath({ name: "a" }),
    beginServer(),
    connectionState(),
    doing(word.slot, (c) => word.slot.set(c, "a")),
    doing(stuck, (c) => stuck.set(c, "b")),
  ]);
  const connection = await ctx.withTimeout(5_000, (c) => request({}, c));
  const closing = expect(ctx.withTimeout(60_000, (c) => close(connection, c))).rejects.toMatchObject({
    code: Code.DeadlineExceeded,
  });
  await clock.advance(60_000);
  await closing;
  expect(word.released).toEqual(["a"]);
  expect(leftovers()).toEqual({});
});
