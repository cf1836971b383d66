import type { Context } from "./context.js";
import { Code, NsmError, sharedCode } from "./errors.js";
import { attempt } from "./slot.js";

/**
 * Tries one way after the other and answers with what the first that works gives. What a try that failed
 * has set in slots is released before the next one. Once the call is over nothing more is tried.
 *
 * @throws the failure when only one way was tried; else an NsmError that says `sentence`, all failures its cause,
 * with the code they agree on or UNAVAILABLE
 *
 * @example
 * await firstThatWorks(ctx, urls, (url) => fetchFrom(url), (tried) => `none of ${tried} mirrors answered`);
 */
export async function firstThatWorks<W, R>(
  ctx: Context,
  ways: Iterable<W>,
  tryOne: (way: W) => Promise<R>,
  sentence: (tried: number) => string,
): Promise<R> {
  const failures: unknown[] = [];
  for (const way of ways) {
    try {
      return await attempt(ctx, () => tryOne(way));
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
