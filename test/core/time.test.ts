import { getEventListeners } from "node:events";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backoff, sleep, systemClock } from "../../src/core/index.js";
import { virtualClock } from "../../src/testing/index.js";

describe("the virtual clock", () => {
  test("fires timers in the order of their times, and equal ones in the order of arming", async () => {
    const clock = virtualClock();
    const fired: string[] = [];
    const arm = (name: string, ms: number): void => {
      const start = clock.now();
      clock.after(ms, () => fired.push(`${name}@${clock.now() - start}`));
    };
    arm("c", 30);
    arm("a", 10);
    arm("b1", 20);
    arm("b2", 20);
    arm("late", 100);
    arm("past", -5);
    await clock.advance(50);
    expect(fired).toEqual(["past@0", "a@10", "b1@20", "b2@20", "c@30"]);
    expect(clock.timers).toBe(1);
  });

  test("fires timers that are armed while time advances, and lets promises settle in between", async () => {
    const clock = virtualClock();
    const fired: number[] = [];
    const start = clock.now();
    const tick = async (): Promise<void> => {
      await Promise.resolve();
      fired.push(clock.now() - start);
      clock.after(10, () => void tick());
    };
    clock.after(10, () => void tick());
    await clock.advance(35);
    expect(fired).toEqual([10, 20, 30]);
    expect(clock.now()).toBe(start + 35);
  });

  test("does not fire a canceled timer", async () => {
    const clock = virtualClock();
    const cancel = clock.after(10, () => expect.fail("cancelled"));
    cancel();
    cancel();
    await clock.advance(20);
    expect(clock.timers).toBe(0);
  });

  test("starts at the same time in every run", () => {
    expect(virtualClock().now()).toBe(virtualClock().now());
    expect(virtualClock(5).now()).toBe(5);
  });
});

describe("the system clock", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("fires once, after the delay or at once for a negative delay", () => {
    const fired: string[] = [];
    systemClock.after(1_000, () => fired.push("later"));
    systemClock.after(-1, () => fired.push("now"));
    vi.advanceTimersByTime(0);
    expect(fired).toEqual(["now"]);
    vi.advanceTimersByTime(5_000);
    expect(fired).toEqual(["now", "later"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("waits longer than setTimeout can, and can be canceled meanwhile", () => {
    const month = 31 * 24 * 3_600_000;
    let fired = 0;
    systemClock.after(month, () => fired++);
    const cancel = systemClock.after(month, () => fired++);
    vi.advanceTimersByTime(month - 1);
    expect(fired).toBe(0);
    cancel();
    vi.advanceTimersByTime(1);
    expect(fired).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("sleep", () => {
  test("resolves after its delay and leaves no listener", async () => {
    const clock = virtualClock();
    const { signal } = new AbortController();
    const slept = sleep(clock, 100, signal);
    await clock.advance(100);
    await slept;
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("rejects with the reason of an abort and leaves no timer", async () => {
    const clock = virtualClock();
    const controller = new AbortController();
    const slept = sleep(clock, 100, controller.signal);
    controller.abort("enough");
    await expect(slept).rejects.toBe("enough");
    await expect(sleep(clock, 100, controller.signal)).rejects.toBe("enough");
    expect(clock.timers).toBe(0);
  });
});

describe("backoff", () => {
  test("doubles from the first to the maximum delay", () => {
    const next = backoff({ initialMs: 100, maxMs: 1_000, random: () => 0 });
    expect(Array.from({ length: 6 }, next)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  test("shortens every delay by up to one half, and never exceeds the maximum", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 12, maxLength: 12 }),
        (initialMs, maxMs, chances) => {
          const dice = [...chances];
          const next = backoff({ initialMs, maxMs, random: () => dice.pop()! });
          for (let i = 0; i < chances.length; i++) {
            const ceiling = Math.min(maxMs, initialMs * 2 ** i);
            const wait = next();
            expect(wait).toBeLessThanOrEqual(ceiling);
            expect(wait).toBeGreaterThan(ceiling / 2);
          }
        },
      ),
      { seed: 1 },
    );
  });
});
