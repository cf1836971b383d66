import { lastValueFrom } from "rxjs";
import type { DependencyContainer } from "tsyringe";
import { NetworkServiceEntry, NetworkServiceQuery } from "../../api/index.js";
import { backoff, Code, codeOf, Context, sleep } from "../../core/index.js";
import { Waiting } from "../../registry/waiting.js";
import { Tokens } from "./tokens.js";

/** The neighbor that a program cannot work without. */
export interface Neighbor {
  /** Such as `the registry`. */
  readonly what: string;
  readonly url: string;
  /** A network service to look up there. It need not exist. */
  readonly service: string;
}

/** How long one look-up may take. */
const TRY_WITHIN_MS = 5_000;

/**
 * Resolves when a registry, or a manager's registry, has answered a look-up, or when the program stops. Until
 * then it logs why it has not.
 */
export async function neighborAnswers(
  app: DependencyContainer,
  { what, url, service }: Neighbor,
): Promise<void> {
  const clock = app.resolve(Tokens.clock);
  const until = app.resolve(Tokens.until);
  const waiting = new Waiting({ what: `${what} at ${url}`, clock, logger: app.resolve(Tokens.logger) });
  const ctx = Context.background({ signal: until, clock });
  const { networkServices } = app.resolve(Tokens.remotes).to(url);
  const networkService = NetworkServiceEntry.create({ name: service });
  const query = NetworkServiceQuery.create({ networkService });
  const wait = backoff({ initialMs: 100, maxMs: 2_000 });
  while (!until.aborted) {
    try {
      await ctx.withTimeout(TRY_WITHIN_MS, (c) =>
        lastValueFrom(networkServices.find(c, query), { defaultValue: undefined }),
      );
      return waiting.answered();
    } catch (error) {
      if (codeOf(error) === Code.NotFound) return waiting.answered();
      waiting.failed(error);
      await sleep(clock, wait(), until).catch(() => {});
    }
  }
  waiting.stop();
}
