/**
 * Renews a registration after two thirds of its remaining lifetime. A failed renewal is retried with growing
 * delays until it succeeds or the registration ends, so an endpoint is registered again as soon as its registry
 * is back.
 *
 * Endpoint registry, client side. After begin and registration-state. Reads `registrationEvents`. Network
 * services do not expire and need no refresh.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { refresh } from "nsm-sdk/registry/elements/refresh";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 *
 * endpointRegistryChain([begin(), registrationState(), refresh({ until }), dialEndpoints({ remotes, url })]);
 *
 * @packageDocumentation
 */
import { fromTimestamp } from "../../../api/index.js";
import {
  backoff,
  registrationEvents,
  TimerSlot,
  type ChainElement,
  type EndpointRegistry,
} from "../../../core/index.js";
import { persist } from "../../persist.js";

const RENEW_AT = 2 / 3;
// Prevents a hot loop if a lifetime has expired on arrival because of a wrong clock.
const SHORTEST_WAIT_MS = 1_000;
const PAUSES = { initialMs: 1_000, maxMs: 30_000 };

/** Options of refresh(). */
export interface RefreshOptions {
  /** The lifetime of the program. Ends all renewals. */
  readonly until?: AbortSignal | undefined;
  /** Randomizes the delays after a failure. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** Creates the element. See the module description. */
export function refresh({
  until,
  random = Math.random,
}: RefreshOptions = {}): ChainElement<EndpointRegistry> {
  const timers = new TimerSlot("refresh", until);

  return {
    name: "refresh",
    inside: ["begin", "registration-state"],
    provides: [timers.slot],
    debugState: () => ({ timers: timers.size }),

    async register(ctx, endpoint, next) {
      const response = await next.register(ctx, endpoint);
      const { expirationTime } = response;
      if (!expirationTime) {
        timers.cancel(ctx);
        return response;
      }
      const lifetime = fromTimestamp(expirationTime) - ctx.clock.now();
      const { register } = ctx.get(registrationEvents)!;
      timers.arm(ctx, Math.max(lifetime * RENEW_AT, SHORTEST_WAIT_MS), (signal) =>
        persist(() => register({ signal }), {
          ctx,
          signal,
          pause: backoff({ ...PAUSES, random }),
          what: `renewing ${endpoint.name}`,
        }),
      );
      return response;
    },
  };
}
