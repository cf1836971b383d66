import type { Context } from "./context.js";
import { Code, NsmError, sharedCode } from "./errors.js";
import { attempt } from "./slot.js";

/**
 * Tries one alternative after the other and returns the first result. If a try fails, the values that it set in
 * slots are released before the next try. Once the call is over, no further alternative is tried. Each try but
 * the last gets a share of the remaining time, so that a try that hangs leaves time for the others: one half
 * before the last, one third before that.
 *
 * @throws the failure itself if only one alternative was tried. Otherwise an NsmError with the message
 * `sentence`, all failures as its cause, and their common code or UNAVAILABLE
 *
 * @example
 * import { remoteUrl, tryEach } from "nsm-sdk/core";
 *
 * const mirrors = ["tcp://10.0.0.1:5001", "tcp://10.0.0.2:5001"];
 * const connection = await tryEach(
 *   ctx,
 *   mirrors,
 *   (mirror, c) => next.request(c.with(remoteUrl, mirror), request),
 *   (tried) => `none of ${tried} mirrors answered`,
 * );
 */
export async function tryEach<W, R>(
  ctx: Context,
  ways: Iterable<W>,
  tryOne: (way: W, ctx: Context) => Promise<R>,
  sentence: (tried: number) => string,
): Promise<R> {
  const failures: unknown[] = [];
  const all = [...ways];
  for (const [i, way] of all.entries()) {
    try {
      return await attempt(ctx, () => inShare(ctx, all.length - i, (c) => tryOne(way, c)));
    } catch (error) {
      failures.push(error);
      if (ctx.signal.aborted) break;
    }
  }
  if (failures.length === 1) throw failures[0];
  throw new NsmError(sharedCode(failures) ?? Code.Unavailable, sentence(failures.length), {
    cause: new AggregateError(failures),
  });
}

/** Limits the division, so that the first tries have enough time if there are many alternatives. */
const MOST_SHARES = 3;

function inShare<R>(ctx: Context, tries: number, work: (ctx: Context) => Promise<R>): Promise<R> {
  const { remainingMs } = ctx;
  if (tries === 1 || remainingMs === undefined) return work(ctx);
  return ctx.withTimeout(Math.max(0, remainingMs / Math.min(tries, MOST_SHARES)), work);
}
