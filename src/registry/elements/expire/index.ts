/**
 * Removes registrations that are not renewed. The expiration time becomes the earliest of the caller's request,
 * the caller's token, the own token, and now plus `defaultMs`. The answer of a later hop may lower it. The
 * Unregister starts early enough to end before the expiration: earlier by the remaining time of the Register,
 * but not before three quarters of the lifetime, because clients renew at two thirds.
 *
 * Endpoint registry, server side. After update-path, begin and registration-state. Reads `ownTokenExpiry`,
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

/** Lifetime of a registration if neither tokens nor the caller limit it, in milliseconds. */
export const DEFAULT_EXPIRATION_MS = 60_000;

// Prevents a hot loop if a lifetime has expired on arrival because of a wrong clock.
const SHORTEST_LIFE_MS = 1_000;

// Clients renew at two thirds of the lifetime and need some time for the renewal.
const EARLIEST_END = 3 / 4;

/** Options of expire(). */
export interface ExpireOptions {
  /** Maximum lifetime of a registration, in milliseconds. Default: 60,000. */
  readonly defaultMs?: number | undefined;
  /** The lifetime of the program. Ends the expiry of registrations. */
  readonly until?: AbortSignal | undefined;
}

/** Creates the element. See the module description. */
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
