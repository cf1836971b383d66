/**
 * Requests a connection again before the first token on its path expires. A failed refresh is retried after 200
 * ms, then with growing delays of at most 10 s, until it succeeds, the connection is closed or the program
 * ends. Every delay is shortened by a random part of up to one tenth.
 *
 * Client side. After begin and connection-state. Reads `connectionEvents`. NSM protocol, refresh: at one third
 * of the remaining time for a path of one segment, otherwise at 0.2 to 0.4 of it, later for hops further down
 * the path.
 *
 * @example
 * import { chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 * import { refresh } from "nsm-sdk/elements/refresh";
 *
 * chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   refresh({ until }),
 *   dial({ remotes }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { fromTimestamp, pathOf, type Connection } from "../../api/index.js";
import {
  backoff,
  connectionEvents,
  explain,
  log,
  repeat,
  TimerSlot,
  type ConnectionEvents,
  type Context,
  type NetworkServiceElement,
} from "../../core/index.js";

/** Options of refresh(). */
export interface RefreshOptions {
  /** The lifetime of the program. Ends all refreshes. */
  readonly until?: AbortSignal | undefined;
  /** Returns random numbers between 0 and 1, for jitter. Tests pass a seeded source. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The maximum random share by which a delay is shortened, so that refreshes that failed together spread out. */
const JITTER = 0.1;
const RETRY = { initialMs: 200, maxMs: 10_000 };
/** Delay for a token that is expired on arrival, which means that clocks differ. It prevents a hot loop. */
const EXPIRED_DELAY_MS = 1_000;

/** Creates the element. See the module description. */
export function refresh({ until, random = Math.random }: RefreshOptions = {}): NetworkServiceElement {
  const timer = new TimerSlot("refresh", until);

  return {
    name: "refresh",
    inside: ["begin", "connection-state"],
    outside: ["dial"],
    provides: [timer.slot],
    debugState: () => ({ timers: timer.size }),

    async request(ctx, request, next) {
      const response = await next.request(ctx, request);
      const delay = refreshDelay(response, ctx.clock.now());
      const events = ctx.get(connectionEvents)!;
      if (delay === undefined) timer.cancel(ctx);
      else
        timer.arm(ctx, delay * (1 - JITTER * random()), (signal) =>
          retried(ctx, events, response.id, random, signal),
        );
      return response;
    },
  };
}

/** Milliseconds until the refresh, or undefined if no segment has an expiry. */
function refreshDelay(connection: Connection, now: number): number | undefined {
  const { index, pathSegments } = pathOf(connection);
  const expiries = pathSegments.flatMap(({ expires }) => (expires ? [fromTimestamp(expires)] : []));
  if (expiries.length === 0) return undefined;
  const left = Math.min(...expiries) - now;
  const count = pathSegments.length;
  return left > 0 ? left * (count === 1 ? 1 / 3 : 0.2 + (0.2 * index) / count) : EXPIRED_DELAY_MS;
}

/**
 * Retries a refresh. A successful refresh passes through the element again, which arms the next timer and so
 * ends this loop.
 */
async function retried(
  ctx: Context,
  events: ConnectionEvents,
  id: string,
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  let tries = 0;
  const jittered = backoff({ ...RETRY, random });
  await repeat(() => events.request({ signal, cause: "refresh" }), {
    clock: ctx.clock,
    signal,
    nextWait: () => Math.round(jittered()),
    onFailure(error, waitMs) {
      if (signal.aborted) return;
      // Only the first failure is a warning, because the outage may last for an hour.
      const level = tries++ === 0 ? "warn" : "debug";
      log(ctx)[level]({ connection: id, waitMs, error: explain(error) }, "refresh failed, will retry");
    },
  });
}
