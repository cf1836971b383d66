import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RangeSet } from "../../src/net/range-set.js";

// Small enough to be listed, large enough for ranges to meet in every way.
const SPACE = 64;

const range = fc
  .tuple(fc.nat(SPACE - 1), fc.nat(SPACE - 1))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const changes = fc.array(fc.record({ add: fc.boolean(), range }), { maxLength: 30 });

/** The same set twice: as ranges, and as a plain list of numbers that cannot be wrong. */
function both(steps: readonly { add: boolean; range: readonly [number, number] }[]): [RangeSet, Set<number>] {
  const set = new RangeSet();
  const model = new Set<number>();
  for (const {
    add,
    range: [first, last],
  } of steps) {
    set[add ? "add" : "remove"](BigInt(first), BigInt(last));
    for (let value = first; value <= last; value++) model[add ? "add" : "delete"](value);
  }
  return [set, model];
}

describe("RangeSet", () => {
  test("holds what was added and not removed, in ordered ranges that do not touch", () => {
    fc.assert(
      fc.property(changes, (steps) => {
        const [set, model] = both(steps);
        for (let value = 0; value < SPACE; value++) {
          expect(set.rangeOf(BigInt(value)) !== undefined).toBe(model.has(value));
        }
        for (let i = 1; i < set.ranges.length; i++) {
          expect(set.ranges[i]!.first).toBeGreaterThan(set.ranges[i - 1]!.last + 1n);
        }
      }),
    );
  });

  test("covers and touches as a list of numbers would", () => {
    fc.assert(
      fc.property(changes, range, (steps, [first, last]) => {
        const [set, model] = both(steps);
        const values = Array.from({ length: last - first + 1 }, (_, i) => first + i);
        expect(set.covers(BigInt(first), BigInt(last))).toBe(values.every((value) => model.has(value)));
        expect(set.touches(BigInt(first), BigInt(last))).toBe(values.some((value) => model.has(value)));
      }),
    );
  });

  test("finds the lowest aligned block outside of the exceptions", () => {
    fc.assert(
      fc.property(changes, changes, fc.constantFrom(1, 2, 4, 8), (steps, exceptSteps, size) => {
        const [set, model] = both(steps);
        const [except, exceptModel] = both(exceptSteps);
        let expected: bigint | undefined;
        for (let at = 0; at < SPACE && expected === undefined; at += size) {
          const block = Array.from({ length: size }, (_, i) => at + i);
          if (block.every((value) => model.has(value) && !exceptModel.has(value))) expected = BigInt(at);
        }
        expect(set.lowest(BigInt(size), except)).toBe(expected);
      }),
    );
  });
});
