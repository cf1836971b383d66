import { describe, expect, test } from "vitest";
import { HealBudget } from "../../../src/elements/heal/index.js";
import { virtualClock } from "../../../src/testing/index.js";

describe("the heal budget", () => {
  test("allows a burst and spreads later attempts", () => {
    const clock = virtualClock();
    const budget = new HealBudget({ burst: 2, perSecond: 10 });
    expect([budget.take(clock), budget.take(clock)]).toEqual([0, 0]);
    expect([budget.take(clock), budget.take(clock)]).toEqual([100, 200]);
  });

  test("refills over time, never beyond its burst", async () => {
    const clock = virtualClock();
    const budget = new HealBudget({ burst: 2, perSecond: 10 });
    budget.take(clock);
    budget.take(clock);
    await clock.advance(60_000);
    expect([budget.take(clock), budget.take(clock), budget.take(clock)]).toEqual([0, 0, 100]);
  });
});
