/**
 * Renews a registration when two thirds of its remaining lifetime are over. A renewal that fails is tried again
 * with growing pauses until it works or the registration ends, so an endpoint comes back whenever its registry does.
 *
 * Registry of endpoints, client side. After begin and registration-state. Reads `registrationEvents`.
 * Network services need none: they do not expire.
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
// A lifetime that is over on arrival (a clock that is wrong) must not make a loop of it.
const SHORTEST_WAIT_MS = 1_000;
const PAUSES = { initialMs: 1_000, maxMs: 30_000 };

/** How long refresh goes on. */
export interface RefreshOptions {
  /** The program's life. */
  readonly until?: AbortSignal | undefined;
  /** For the pauses after a failure. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** See the module's description. */
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
