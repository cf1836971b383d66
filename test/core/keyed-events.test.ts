import { describe, expect, test } from "vitest";
import { Code, Context, NsmError } from "../../src/core/index.js";
import { KeyedEvents, type Key, type Life } from "../../src/core/keyed-events.js";
import { virtualClock } from "../../src/testing/index.js";

class Gate {
  private open: (() => void) | undefined;
  readonly passed = new Promise<void>((resolve) => (this.open = resolve));
  release(): void {
    this.open?.();
  }
}

function setup(until?: AbortSignal) {
  const clock = virtualClock();
  const ctx = Context.background({ clock });
  const events = new KeyedEvents<Life>({
    preempted: (id) => new NsmError(Code.Cancelled, `${id} is ending`),
    until,
  });
  const establish = async (budgetMs?: number, own = ctx): Promise<Life> => {
    const life: Life = { established: { ctx: own, budgetMs } };
    await events.establish(ctx, "a", async (key) => void (key.life = life));
    return life;
  };
  const forget = async (key: Key<Life>): Promise<void> => void (key.life = undefined);
  return { clock, ctx, events, establish, forget };
}

const failure = (work: Promise<unknown>): Promise<unknown> => work.then(String, (error: unknown) => error);

describe("keyed events", () => {
  test("run one at a time per key in the order of arrival, and in parallel for other keys", async () => {
    const { ctx, events, clock } = setup();
    const gate = new Gate();
    const order: string[] = [];
    const call = (id: string, name: string): Promise<void> =>
      events.establish(ctx, id, async () => {
        order.push(name);
        await gate.passed;
      });
    const calls = [
      call("a", "a1"),
      events.end("a", false, async () => void order.push("a2")),
      call("b", "b1"),
    ];
    await clock.settle();
    expect(order).toEqual(["a1", "b1"]);
    gate.release();
    await Promise.all(calls);
    expect(order).toEqual(["a1", "b1", "a2"]);
  });

  test("forget a key that has no life once nothing waits for it, also after a failure", async () => {
    const { ctx, events, establish, forget } = setup();
    const broken = events.establish(ctx, "a", () => Promise.reject(new Error("no")));
    const queued = events.end("a", true, async () => {});
    await expect(broken).rejects.toThrow("no");
    await queued;
    expect(events.size).toBe(0);
    const life = await establish();
    expect([events.size, events.lifeOf("a")]).toEqual([1, life]);
    await events.end("a", true, forget);
    expect([events.size, events.lifeOf("a")]).toEqual([0, undefined]);
  });

  test("let a caller stop waiting for its turn, but not during its call", async () => {
    const { ctx, events, clock } = setup();
    const gate = new Gate();
    const caller = new AbortController();
    let started = 0;
    const call = (): Promise<string> =>
      ctx.withSignal(caller.signal, (own) =>
        events.establish(own, "a", async () => {
          started++;
          await gate.passed;
          return "ran";
        }),
      );
    const running = call();
    const waiting = failure(call());
    await clock.settle();
    caller.abort(new Error("gone"));
    expect(await waiting).toMatchObject({ message: "gone" });
    expect(await failure(call())).toMatchObject({ message: "gone" });
    gate.release();
    expect(await running).toBe("ran");
    await clock.settle();
    expect([started, events.size]).toEqual([1, 0]);
  });

  test("give an event a Context of its own, with the values and the time limit of the life", async () => {
    const { ctx, events, establish, clock } = setup();
    const gone = new AbortController();
    const life = await ctx.withSignal(gone.signal, (own) => establish(7_000, own));
    gone.abort();
    await clock.advance(60_000);
    const seen: unknown[] = [];
    const outcome = await events.event("a", life, {}, async (own, established, key) => {
      seen.push(own.remainingMs, own.signal.aborted, established, key.life);
    });
    expect(outcome).toBe("done");
    expect(seen).toEqual([7_000, false, life.established, life]);
  });

  test("skip an event of a life that has ended or was replaced, and one whose signal has aborted", async () => {
    const { events, establish, forget } = setup();
    const never = (): Promise<void> => Promise.reject(new Error("must not run"));
    const former = await establish();
    await events.end("a", true, forget);
    expect(await events.event("a", former, {}, never)).toBe("skipped");
    const life = await establish();
    expect(await events.event("a", former, {}, never)).toBe("skipped");
    expect(await events.event("a", life, { signal: AbortSignal.abort() }, never)).toBe("skipped");
    expect(await events.event("a", { established: undefined }, {}, never)).toBe("skipped");
  });

  test("abort the running event for a call that preempts it, and reject the queued ones", async () => {
    const { events, establish, forget, clock } = setup();
    const life = await establish();
    const stuck = (own: Context): Promise<void> =>
      new Promise((_, reject) =>
        own.signal.addEventListener("abort", () => reject(own.signal.reason as Error)),
      );
    const running = failure(events.event("a", life, {}, stuck));
    const queued = failure(events.event("a", life, {}, stuck));
    await clock.settle();
    const ending = events.end("a", true, forget);
    const late = failure(events.event("a", life, {}, stuck));
    await ending;
    expect(await running).toMatchObject({ code: Code.Cancelled, message: "a is ending" });
    expect(await queued).toMatchObject({ code: Code.Cancelled });
    expect(await late).toBe("skipped");
    expect(events.size).toBe(0);
  });

  test("run events again after a call that preempted them but ended nothing", async () => {
    const { events, establish } = setup();
    const life = await establish();
    await events.end("a", true, async () => {});
    await expect(events.end("a", true, () => Promise.reject(new Error("refused")))).rejects.toThrow(
      "refused",
    );
    expect(await events.event("a", life, {}, async () => {})).toBe("done");
  });

  test("leave a running event alone for a call that does not preempt", async () => {
    const { events, establish, forget, clock } = setup();
    const life = await establish();
    const gate = new Gate();
    const running = events.event("a", life, {}, () => gate.passed);
    await clock.settle();
    const ending = events.end("a", false, forget);
    gate.release();
    expect(await running).toBe("done");
    await ending;
  });

  test("abort running events and start none once the program has ended", async () => {
    const program = new AbortController();
    const { events, establish, clock } = setup(program.signal);
    const life = await establish();
    const running = failure(
      events.event(
        "a",
        life,
        {},
        (own) =>
          new Promise((_, reject) => own.signal.addEventListener("abort", () => reject(own.signal.reason))),
      ),
    );
    await clock.settle();
    program.abort(new Error("over"));
    expect(await running).toMatchObject({ message: "over" });
    expect(await events.event("a", life, {}, async () => {})).toBe("skipped");
  });
});
