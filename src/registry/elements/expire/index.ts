/**
 * Ends registrations that nobody renews. The entry's expiration time becomes the earliest of what the caller
 * asked for, the caller's token, the own token, and now plus `defaultMs`; an answer from further on may lower it.
 * The Unregister starts early enough to be through when the time is over: earlier by as long as the Register's
 * deadline was away, but never before three quarters of the lifetime, since clients renew at two thirds.
 *
 * Registry of endpoints, server side. After update-path, begin and registration-state. Reads `ownTokenExpiry`,
 * `peer` and `registrationEvents`.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { expire } from "nsm-sdk/registry/elements/expire";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([
 *   updatePath({ tokens }),
 *   begin(),
 *   registrationState(),
 *   expire({ until }),
 *   memoryEndpoints(),
 * ]);
 *
 * @packageDocumentation
 */
import {
  fromTimestamp,
  toTimestamp,
  type NetworkServiceEndpoint,
  type Timestamp,
} from "../../../api/index.js";
import {
  peer,
  registrationEvents,
  TimerSlot,
  type ChainElement,
  type Context,
  type EndpointRegistry,
} from "../../../core/index.js";
import { ownTokenExpiry } from "../update-path/index.js";

/** How long a registration lives when neither tokens nor caller say so: one minute. */
export const DEFAULT_EXPIRATION_MS = 60_000;

// A lifetime that is over on arrival (a clock that is wrong) must not make a loop of it.
const SHORTEST_LIFE_MS = 1_000;

// Clients renew at two thirds of the lifetime and need some time for that.
const EARLIEST_END = 3 / 4;

/** How long registrations may live. */
export interface ExpireOptions {
  /** In milliseconds. Default: 60,000. */
  readonly defaultMs?: number | undefined;
  /** The program's life: when it is over, nothing expires any more. */
  readonly until?: AbortSignal | undefined;
}

/** See the module's description. */
export function expire({
  defaultMs = DEFAULT_EXPIRATION_MS,
  until,
}: ExpireOptions = {}): ChainElement<EndpointRegistry> {
  const timers = new TimerSlot("expire", until);

  return {
    name: "expire",
    inside: ["begin", "registration-state"],
    provides: [timers.slot],
    debugState: () => ({ timers: timers.size }),

    async register(ctx, endpoint, next) {
      const ours = earliest([
        ctx.get(ownTokenExpiry),
        ctx.get(peer)?.token?.expires,
        toTimestamp(ctx.clock.now() + defaultMs),
      ]);
      const asked: NetworkServiceEndpoint = {
        ...endpoint,
        expirationTime: earliest([endpoint.expirationTime, ours]),
      };
      const response = await next.register(ctx, asked);
      const expirationTime = earliest([response.expirationTime, ours]);
      const delay = delayUntil(ctx, fromTimestamp(expirationTime));
      timers.arm(ctx, delay, (signal) =>
        ctx.get(registrationEvents)!.unregister({ signal, cause: "timeout" }),
      );
      return { ...response, expirationTime };
    },
  };
}

function delayUntil(ctx: Context, expirationMs: number): number {
  const lifetime = expirationMs - ctx.clock.now();
  const early = Math.max(0, ctx.remainingMs ?? 0);
  return Math.max(lifetime - early, lifetime * EARLIEST_END, SHORTEST_LIFE_MS);
}

function earliest(times: readonly [...(Timestamp | undefined)[], Timestamp]): Timestamp {
  return times
    .filter((time) => time !== undefined)
    .reduce((first, time) => (fromTimestamp(time) < fromTimestamp(first) ? time : first));
}
