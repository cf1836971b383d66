import { Code, Context, tryEach, NsmError } from "../../src/core/index.js";
import { virtualClock } from "../../src/testing/index.js";
import { describe, expect, test } from "vitest";

const ctx = Context.background();
const sentence = (tried: number): string => `none of ${tried} worked`;
const failWith = (code: Code) => async (): Promise<never> => {
  throw new NsmError(code, "no");
};

describe("tryEach", () => {
  test("returns the first result and does not try the others", async () => {
    const tried: string[] = [];
    const attempt = async (way: string): Promise<string> => {
      tried.push(way);
      if (way === "a") throw new NsmError(Code.Unavailable, "no");
      return way;
    };
    expect(await tryEach(ctx, ["a", "b", "c"], attempt, sentence)).toBe("b");
    expect(tried).toEqual(["a", "b"]);
  });

  test("throws the failure itself if only one alternative was tried", async () => {
    const failure = new NsmError(Code.NotFound, "not here");
    await expect(tryEach(ctx, [1], () => Promise.reject(failure), sentence)).rejects.toBe(failure);
  });

  test("throws the common code of all failures, with every failure as its cause", async () => {
    const call = tryEach(ctx, [1, 2], failWith(Code.NotFound), sentence);
    await expect(call).rejects.toMatchObject({ code: Code.NotFound, message: "none of 2 worked" });
    const error = (await call.catch((reason: unknown) => reason)) as NsmError;
    expect((error.cause as AggregateError).errors).toHaveLength(2);
  });

  test("gives each try a share of the time, so that a try that hangs leaves time for the others", async () => {
    const clock = virtualClock();
    const left: (number | undefined)[] = [];
    const hang = (way: string, c: Context): Promise<string> => {
      left.push(c.remainingMs);
      if (way === "d") return Promise.resolve(way);
      return new Promise((_resolve, reject) =>
        c.signal.addEventListener("abort", () => reject(c.signal.reason)),
      );
    };
    const call = Context.background({ clock }).withTimeout(9_000, (c) =>
      tryEach(c, ["a", "b", "c", "d"], hang, sentence),
    );
    await clock.advance(9_000);
    expect(await call).toBe("d");
    expect(left).toEqual([3_000, 2_000, 2_000, 2_000]);
    expect(clock.timers).toBe(0);
  });

  test("throws UNAVAILABLE if the codes differ, or if there is no alternative", async () => {
    const differing = tryEach(ctx, [Code.NotFound, Code.Internal], (code) => failWith(code)(), sentence);
    await expect(differing).rejects.toMatchObject({ code: Code.Unavailable });
    const none = tryEach(ctx, [], failWith(Code.NotFound), sentence);
    await expect(none).rejects.toMatchObject({ code: Code.Unavailable, message: "none of 0 worked" });
  });

  test("tries no further alternative once the call is over", async () => {
    const over = new AbortController();
    const tried: number[] = [];
    const attempt = async (way: number): Promise<never> => {
      tried.push(way);
      over.abort();
      throw new NsmError(Code.Cancelled, "over");
    };
    const call = tryEach(Context.background({ signal: over.signal }), [1, 2], attempt, sentence);
    await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
    expect(tried).toEqual([1]);
  });
});
