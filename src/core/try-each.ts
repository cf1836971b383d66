import type { Context } from "./context.js";
import { Code, NsmError, sharedCode } from "./errors.js";
import { attempt } from "./slot.js";

/**
 * Tries one way after the other and answers with what the first that works gives. What a try that failed
 * has set in slots is released before the next one. Once the call is over nothing more is tried. A try that is not
 * the last gets a share of the time that is left, so that one that hangs leaves some for the others: half of it
 * before the last, a third before that.
 *
 * @throws the failure when only one way was tried; else an NsmError that says `sentence`, all failures its cause,
 * with the code they agree on or UNAVAILABLE
 *
 * @example
 * await firstThatWorks(ctx, urls, (url, c) => fetchFrom(c, url), (tried) => `none of ${tried} mirrors answered`);
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

/** However many there are: the first few should have the time that a try takes. */
const MOST_SHARES = 3;

function inShare<R>(ctx: Context, tries: number, work: (ctx: Context) => Promise<R>): Promise<R> {
  const { remainingMs } = ctx;
  if (tries === 1 || remainingMs === undefined) return work(ctx);
  return ctx.withTimeout(Math.max(0, remainingMs / Math.min(tries, MOST_SHARES)), work);
}
