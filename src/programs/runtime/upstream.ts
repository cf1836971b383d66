import { lastValueFrom } from "rxjs";
import type { DependencyContainer } from "tsyringe";
import { NetworkServiceEntry, NetworkServiceQuery } from "../../api/index.js";
import { backoff, Code, codeOf, Context, repeat } from "../../core/index.js";
import { Waiting } from "../../registry/waiting.js";
import { Tokens } from "./tokens.js";

/** The registry or manager that a program depends on. */
export interface Upstream {
  /** Its role in log lines, such as `the registry`. */
  readonly what: string;
  readonly url: string;
  /** A network service to look up there. It need not exist. */
  readonly service: string;
}

/** Time limit of one lookup, in milliseconds. */
const TRY_WITHIN_MS = 5_000;

/**
 * Resolves when a registry, or a manager's registry, has answered a lookup, or when the program stops. Until
 * then, it logs why there is no answer.
 */
export async function upstreamAnswers(
  app: DependencyContainer,
  { what, url, service }: Upstream,
): Promise<void> {
  const clock = app.resolve(Tokens.clock);
  const until = app.resolve(Tokens.until);
  const waiting = new Waiting({ what: `${what} at ${url}`, clock, logger: app.resolve(Tokens.logger) });
  const ctx = Context.background({ signal: until, clock });
  const { networkServices } = app.resolve(Tokens.remotes).to(url);
  const networkService = NetworkServiceEntry.create({ name: service });
  const query = NetworkServiceQuery.create({ networkService });
  const lookUp = (): Promise<unknown> =>
    ctx
      .withTimeout(TRY_WITHIN_MS, (c) =>
        lastValueFrom(networkServices.find(c, query), { defaultValue: undefined }),
      )
      .catch((error: unknown) => {
        if (codeOf(error) !== Code.NotFound) throw error;
      });
  try {
    await repeat(lookUp, {
      clock,
      signal: until,
      nextWait: backoff({ initialMs: 100, maxMs: 2_000 }),
      onFailure: (error) => waiting.failed(error),
    });
    waiting.answered();
  } catch (error) {
    waiting.stop();
    if (!until.aborted) throw error;
  }
}
