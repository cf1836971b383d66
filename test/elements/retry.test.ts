import { describe, expect, test } from "vitest";
import {
  chain,
  Code,
  codeName,
  Context,
  explain,
  NsmError,
  type NetworkService,
} from "../../src/core/index.js";
import { retry } from "../../src/elements/retry/index.js";
import {
  failAfter,
  hold,
  recorder,
  sampleConnection,
  sampleRequest,
  virtualClock,
} from "../../src/testing/index.js";

const noJitter = () => 0; // delays at their full length

/** A service that fails this many calls of each method. */
function failing(times: number, code: Code = Code.Unavailable): { service: NetworkService; calls: number[] } {
  const calls = [0, 0];
  const fail = (method: 0 | 1): void => {
    if (calls[method]!++ < times) throw new NsmError(code, `try ${calls[method]} failed`);
  };
  const service: NetworkService = {
    async request(_ctx, request) {
      fail(0);
      return request.connection!;
    },
    close: async () => fail(1),
  };
  return { service, calls };
}

function bench() {
  const clock = virtualClock();
  const ctx = Context.background({ clock });
  return { clock, ctx, request: sampleRequest(clock.now()), connection: sampleConnection(clock.now()) };
}

describe("retry", () => {
  test("five failures and a success are six calls, for Request and Close", async () => {
    const { clock, ctx, request, connection } = bench();
    const { service, calls } = failing(5);
    const retrying = retry(service);
    const done = Promise.all([retrying.request(ctx, request), retrying.close(ctx, connection)]);
    await clock.advance(60_000);
    await expect(done).resolves.toEqual([connection, undefined]);
    expect(calls).toEqual([6, 6]);
    expect(clock.timers).toBe(0);
  });

  test("a Close of a lost connection succeeds", async () => {
    const { clock, ctx, connection } = bench();
    const { service, calls } = failing(Infinity, Code.NotFound);
    await retry(service).close(ctx, connection);
    expect(calls).toEqual([0, 1]);
    expect(clock.timers).toBe(0);
  });

  test("delays double up to their limit", async () => {
    const { clock, ctx, request } = bench();
    const at: number[] = [];
    const retrying = retry(
      {
        request: async () => {
          at.push(clock.now());
          throw new NsmError(Code.NotFound, "not yet");
        },
        close: async () => {},
      },
      { intervalMs: 100, maxIntervalMs: 350, random: noJitter },
    );
    const done = ctx.withTimeout(1_500, (c) => retrying.request(c, request)).catch(() => {});
    await clock.advance(2_000);
    await done;
    expect(at.map((time) => time - at[0]!)).toEqual([0, 100, 300, 650, 1_000, 1_350]);
  });

  test("each try has its own time limit, within the caller's", async () => {
    const { clock, ctx, request } = bench();
    const left: (number | undefined)[] = [];
    const gate = hold();
    const recordRemaining: NetworkService = {
      request(c, received) {
        left.push(c.remainingMs);
        return chain([gate]).request(c, received);
      },
      close: async () => {},
    };
    const retrying = retry(recordRemaining, { intervalMs: 200, tryTimeoutMs: 1_000, random: noJitter });
    const done = ctx.withTimeout(2_000, (c) => retrying.request(c, request));
    done.catch(() => {});
    await clock.advance(2_000);
    expect(left).toEqual([1_000, 800]);
    await expect(done).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(clock.timers).toBe(0);
  });

  test.each(
    [Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated, Code.Unimplemented].map(
      (code) => [codeName(code), code] as const,
    ),
  )("%s is permanent: it is thrown at once", async (_name, code) => {
    const { ctx, request, connection } = bench();
    const { service, calls } = failing(Infinity, code);
    await expect(retry(service).request(ctx, request)).rejects.toMatchObject({
      code,
      message: "try 1 failed",
    });
    await expect(retry(service).close(ctx, connection)).rejects.toMatchObject({ code });
    expect(calls).toEqual([1, 1]);
  });

  test("when the deadline expires, the error has the failure of the last try as its cause", async () => {
    const { clock, ctx, request } = bench();
    const { service } = failing(Infinity);
    const done = ctx.withTimeout(350, (c) => retry(service, { random: noJitter }).request(c, request));
    done.catch(() => {});
    await clock.advance(350);
    const error: unknown = await done.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: Code.DeadlineExceeded });
    expect(explain(error)).toBe("stopped retrying after 2 tries: try 2 failed");
    expect(clock.timers).toBe(0);
  });

  test("no further try starts after the caller canceled", async () => {
    const { clock, ctx, request } = bench();
    const seen = recorder();
    const caller = new AbortController();
    const retrying = retry(chain([seen, failAfter(0, Code.Unavailable)]));
    const done = ctx.withSignal(caller.signal, (c) => retrying.request(c, request));
    done.catch(() => {});
    await clock.settle();
    caller.abort(new NsmError(Code.Cancelled, "changed my mind"));
    await expect(done).rejects.toMatchObject({ code: Code.Cancelled });
    await clock.advance(60_000);
    expect(seen.calls).toEqual(["request"]);
    expect(clock.timers).toBe(0);
  });
});
