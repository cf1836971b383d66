import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { Code, Context, ContextKey, NsmError } from "../../src/core/index.js";
import { virtualClock } from "../../src/testing/index.js";

const colour = new ContextKey<string>("colour");
const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

/** Resolves with the reason when the Context ends. */
const ended = (ctx: Context): Promise<unknown> =>
  new Promise((resolve) => {
    if (ctx.signal.aborted) resolve(ctx.signal.reason);
    ctx.signal.addEventListener("abort", () => resolve(ctx.signal.reason), { once: true });
  });

describe("a Context's values", () => {
  test("are found by the key itself, not by its name", () => {
    const ctx = Context.background().with(colour, "red");
    expect(ctx.get(colour)).toBe("red");
    expect(ctx.get(new ContextKey<string>("colour"))).toBeUndefined();
  });

  test("leave the Context they were added to unchanged", () => {
    const ctx = Context.background().with(colour, "red");
    expect(ctx.with(colour, "blue").get(colour)).toBe("blue");
    expect(ctx.get(colour)).toBe("red");
  });

  test("can be hidden with undefined", () => {
    expect(Context.background().with(colour, "red").with(colour, undefined).get(colour)).toBeUndefined();
  });

  test("survive timeouts, signals and detaching", async () => {
    const ctx = Context.background().with(colour, "red");
    const found = await ctx.withTimeout(1_000, (a) =>
      a.withSignal(new AbortController().signal, (b) => b.detached(async (c) => c.get(colour))),
    );
    expect(found).toBe("red");
  });
});

describe("withTimeout", () => {
  test("ends the work's Context with DEADLINE_EXCEEDED when its time limit expires", async () => {
    const clock = virtualClock();
    const work = Context.background({ clock }).withTimeout(500, async (ctx) => {
      expect(ctx).toMatchObject({ deadline: clock.now() + 500, budgetMs: 500, remainingMs: 500 });
      const reason = await ended(ctx);
      expect(ctx.remainingMs).toBe(0);
      return reason;
    });
    await clock.advance(499);
    expect(clock.timers).toBe(1);
    await clock.advance(1);
    expect(await work).toMatchObject({ code: Code.DeadlineExceeded, message: "not finished within 500 ms" });
  });

  test("leaves neither timer nor listener behind, whether the work succeeds or fails", async () => {
    const clock = virtualClock();
    const caller = new AbortController();
    const ctx = Context.background({ clock, signal: caller.signal });
    await ctx.withTimeout(500, async ({ signal }) => {
      expect(signal.aborted).toBe(false);
      expect([listeners(caller.signal), clock.timers]).toEqual([1, 1]);
    });
    await expect(
      ctx.withTimeout(500, ({ signal }) => Promise.reject(new Error(`no: ${signal.aborted}`))),
    ).rejects.toThrow("no: false");
    await expect(
      ctx.withTimeout(500, ({ signal }) => {
        if (signal.aborted) return Promise.resolve();
        throw new Error("at once");
      }),
    ).rejects.toThrow("at once");
    expect(clock.timers).toBe(0);
    expect(listeners(caller.signal)).toBe(0);
  });

  test("never exceeds the caller's deadline, and then needs no second timer", async () => {
    const clock = virtualClock();
    const ctx = Context.background({ clock });
    const work = ctx.withTimeout(300, (outer) =>
      outer.withTimeout(1_000, async (inner) => {
        expect(inner).toMatchObject({ deadline: outer.deadline, remainingMs: 300 });
        const reason = ended(inner);
        expect(clock.timers).toBe(1);
        return reason;
      }),
    );
    await clock.advance(300);
    expect(await work).toMatchObject({ code: Code.DeadlineExceeded });
  });

  test("forwards the caller's cancellation with its reason", async () => {
    const clock = virtualClock();
    const caller = new AbortController();
    const reason = new NsmError(Code.Cancelled, "the caller went away");
    const work = Context.background({ clock, signal: caller.signal }).withTimeout(500, ended);
    caller.abort(reason);
    expect(await work).toBe(reason);
    expect(clock.timers).toBe(0);
  });
});

describe("withSignal", () => {
  test("ends the work's Context with the signal's reason, keeping deadline and values", async () => {
    const clock = virtualClock();
    const event = new AbortController();
    await Context.background({ clock }).withTimeout(500, async (ctx) => {
      const work = ctx.with(colour, "red").withSignal(event.signal, async (c) => {
        expect(c).toMatchObject({ deadline: ctx.deadline, budgetMs: 500 });
        expect(c.get(colour)).toBe("red");
        return ended(c);
      });
      event.abort("enough");
      expect(await work).toBe("enough");
      expect(ctx.signal.aborted).toBe(false);
      expect(listeners(event.signal)).toBe(0);
    });
  });

  test("starts aborted when the signal has aborted", async () => {
    const reason = await Context.background().withSignal(AbortSignal.abort("late"), async (ctx) => {
      expect(() => ctx.throwIfDone()).toThrow();
      return ctx.signal.reason as unknown;
    });
    expect(reason).toBe("late");
  });

  test("removes its listeners from both signals", async () => {
    const caller = new AbortController();
    const other = new AbortController();
    await Context.background({ signal: caller.signal }).withSignal(other.signal, async ({ signal }) => {
      expect(signal.aborted).toBe(false);
      expect(listeners(caller.signal) + listeners(other.signal)).toBe(2);
    });
    expect(listeners(caller.signal) + listeners(other.signal)).toBe(0);
  });
});

describe("detached", () => {
  test("outlives a cancellation, with the caller's original time limit", async () => {
    const clock = virtualClock();
    const caller = new AbortController();
    const work = Context.background({ clock, signal: caller.signal }).withTimeout(2_000, async (ctx) => {
      await clock.advance(1_500);
      caller.abort(new NsmError(Code.Cancelled, "gone"));
      return ctx.detached(async (own) => {
        own.throwIfDone();
        expect(own.remainingMs).toBe(2_000);
        return ended(own);
      });
    });
    await clock.advance(1_999);
    await clock.advance(1_501);
    expect(await work).toMatchObject({ code: Code.DeadlineExceeded });
    expect(clock.timers).toBe(0);
  });

  test("defaults to 15 seconds for a caller without a deadline, and accepts its own limit", async () => {
    const ctx = Context.background({ clock: virtualClock() });
    expect(await ctx.detached(async (own) => own.remainingMs)).toBe(15_000);
    expect(await ctx.detached(async (own) => own.remainingMs, 100)).toBe(100);
  });
});

describe("a signal", () => {
  test("needs neither timer nor listener before its first use", async () => {
    const clock = virtualClock();
    const [caller, other] = [new AbortController(), new AbortController()];
    const ctx = Context.background({ clock, signal: caller.signal });
    await ctx.withTimeout(500, (a) =>
      a.withSignal(other.signal, (b) =>
        b.detached(async (c) => {
          expect(c.remainingMs).toBe(500);
          expect([clock.timers, listeners(caller.signal), listeners(other.signal)]).toEqual([0, 0, 0]);
        }),
      ),
    );
  });

  test("is aborted if its first use is after the deadline or after a cancellation", async () => {
    const clock = virtualClock();
    const caller = new AbortController();
    const ctx = Context.background({ clock, signal: caller.signal });
    await ctx.withTimeout(500, async (late) => {
      await clock.advance(500);
      expect(() => late.throwIfDone()).toThrow("not finished within 500 ms");
    });
    await ctx.withTimeout(500, async (cancelled) => {
      caller.abort(new NsmError(Code.Cancelled, "gone"));
      expect(() => cancelled.throwIfDone()).toThrow("gone");
    });
    expect(clock.timers).toBe(0);
  });

  test("never aborts after the end of the work, even if it was not used before", async () => {
    const clock = virtualClock();
    const caller = new AbortController();
    const ctx = Context.background({ clock, signal: caller.signal });
    const kept = await ctx.withTimeout(500, (c) => Promise.resolve(c));
    await clock.advance(1_000);
    caller.abort();
    expect(kept.signal.aborted).toBe(false);
    expect([clock.timers, listeners(caller.signal)]).toEqual([0, 0]);
  });
});

test("throwIfDone throws the reason of a canceled call, and otherwise nothing", () => {
  const reason = new NsmError(Code.Cancelled, "gone");
  expect(() => Context.background({ signal: AbortSignal.abort(reason) }).throwIfDone()).toThrow(reason);
  Context.background().throwIfDone();
});
