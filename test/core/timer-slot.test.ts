import { describe, expect, test } from "vitest";
import {
  Context,
  logger,
  silent,
  sleep,
  TimerSlot,
  type Elements,
  type NetworkService,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { run, virtualClock } from "../../src/testing/index.js";

/** Arms the timer on every Request and cancels it on Close. */
function arming(timer: TimerSlot, work: (signal: AbortSignal) => Promise<unknown>): Elements<NetworkService> {
  return [
    connectionState(),
    {
      name: "arming",
      debugState: () => ({ timers: timer.size }),
      request(ctx, request, next) {
        timer.arm(ctx, 1_000, work);
        return next.request(ctx, request);
      },
      close(ctx, connection, next) {
        timer.cancel(ctx);
        return next.close(ctx, connection);
      },
    },
  ];
}

describe("a timer slot", () => {
  test("runs the work of each connection once, after its delay", async () => {
    let done = 0;
    const { request, close, clock, leftovers } = run(arming(new TimerSlot("timer"), async () => done++));
    const one = await request({ id: "one" });
    await clock.advance(500);
    const two = await request({ id: "two" });
    await clock.advance(500);
    expect(done).toBe(1);
    await clock.advance(5_000);
    expect(done).toBe(2);
    await close(one);
    await close(two);
    expect(leftovers()).toEqual({});
  });

  test("restarts when armed again, and does nothing when canceled", async () => {
    let done = 0;
    const { request, close, clock, leftovers } = run(arming(new TimerSlot("timer"), async () => done++));
    await request();
    await clock.advance(900);
    await request();
    await clock.advance(900);
    expect(done).toBe(0);
    await close();
    await clock.advance(900);
    expect(done).toBe(0);
    expect(leftovers()).toEqual({});
  });

  test("aborts the signal of running work when it is canceled", async () => {
    const clock = virtualClock();
    const reasons: unknown[] = [];
    const timer = new TimerSlot("timer");
    const { request, close, leftovers } = run(
      arming(timer, async (signal) => {
        await sleep(clock, 10_000, signal).catch((reason: unknown) => reasons.push(reason));
      }),
      { clock },
    );
    await request();
    await clock.advance(1_500);
    expect(timer.size).toBe(1);
    await close();
    await clock.settle();
    expect(reasons).toHaveLength(1);
    expect(leftovers()).toEqual({});
  });

  test("logs work that fails, unless it stopped because of its signal", async () => {
    const warnings: string[] = [];
    const clock = virtualClock();
    const ctx = Context.background({ clock }).with(logger, {
      ...silent,
      warn: (fields, message) => void warnings.push(`${message}: ${(fields as { error: string }).error}`),
    });
    const failing = run(
      arming(new TimerSlot("timer"), () => Promise.reject(new Error("no"))),
      { clock, ctx },
    );
    await failing.request();
    await clock.advance(1_000);
    const givingUp = run(
      arming(new TimerSlot("timer"), (signal) => sleep(clock, 10_000, signal)),
      { clock, ctx },
    );
    await givingUp.request();
    await clock.advance(1_000);
    await givingUp.close();
    await clock.settle();
    expect(warnings).toEqual(["timer failed: no"]);
  });

  test("ends with the program", async () => {
    const program = new AbortController();
    let done = 0;
    const { request, clock, close, leftovers } = run(
      arming(new TimerSlot("timer", program.signal), async () => done++),
    );
    await request();
    program.abort();
    await request({ id: "two" });
    await clock.advance(5_000);
    expect(done).toBe(0);
    await close();
    expect(leftovers()).toEqual({ "connection-state": { connections: 1 } });
  });
});
