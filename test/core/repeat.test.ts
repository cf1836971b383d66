import { expect, test } from "vitest";
import { Code, Context, explain, NsmError, repeat, repeatCall } from "../../src/core/index.js";
import { virtualClock } from "../../src/testing/index.js";

const down = (): Promise<never> => Promise.reject(new NsmError(Code.Unavailable, "down"));

test("repeat waits after each failure and returns the first success", async () => {
  const clock = virtualClock();
  const failures: unknown[] = [];
  const waits = [100, 300];
  let tries = 0;
  const done = repeat(async () => (++tries < 3 ? down() : clock.now()), {
    clock,
    signal: new AbortController().signal,
    nextWait: () => waits.shift()!,
    onFailure: (error, waitMs) => failures.push([explain(error), waitMs]),
  });
  const start = clock.now();
  await clock.advance(400);
  expect((await done) - start).toBe(400);
  expect(failures).toEqual([
    ["down", 100],
    ["down", 300],
  ]);
  expect(clock.timers).toBe(0);
});

test("repeat rejects with the reason of its signal, at once and without another try", async () => {
  const clock = virtualClock();
  const controller = new AbortController();
  let tries = 0;
  const options = { clock, signal: controller.signal, nextWait: () => 1_000 };
  const done = repeat(() => (tries++, down()), options);
  const rejected = expect(done).rejects.toBe("enough");
  await clock.settle();
  controller.abort("enough");
  await rejected;
  await expect(repeat(() => (tries++, down()), options)).rejects.toBe("enough");
  expect(tries).toBe(1);
  expect(clock.timers).toBe(0);
});

test("a repeated call that uses up the caller's time in one try reports what that try failed with", async () => {
  const clock = virtualClock();
  const ctx = Context.background({ clock });
  const hanging = (c: Context): Promise<never> =>
    new Promise((_resolve, reject) =>
      c.signal.addEventListener("abort", () =>
        reject(new NsmError(Code.DeadlineExceeded, "the peer was silent")),
      ),
    );
  const done = ctx
    .withTimeout(500, (c) => repeatCall(c, hanging, { nextWait: () => 100, tryTimeoutMs: 1_000 }))
    .catch((error: unknown) => error);
  await clock.advance(500);
  expect(explain(await done)).toMatch(/^stopped retrying after one try: /);
  expect(clock.timers).toBe(0);
});
