/**
 * Closes a connection that its caller does not refresh. The Close starts before the caller's token expires,
 * early enough to reach the last hop with valid tokens. The margin equals the time limit of the Request, but at
 * most one third of the token's remaining lifetime.
 *
 * Server side. After begin, update-token and connection-state; before all elements that may fail, so that it
 * sees the final answer. Reads `connectionEvents`.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { timeout } from "nsm-sdk/elements/timeout";
 * import { updateToken } from "nsm-sdk/elements/update-token";
 *
 * chain([updatePath({ name }), beginServer(), updateToken({ tokens }), connectionState(), timeout()]);
 *
 * @packageDocumentation
 */
import { connectionOf, fromTimestamp, previousSegment, type Connection } from "../../api/index.js";
import {
  Code,
  connectionEvents,
  log,
  NsmError,
  TimerSlot,
  type NetworkServiceElement,
} from "../../core/index.js";

/** Options of timeout(). */
export interface TimeoutOptions {
  /** The lifetime of the program. Cancels all timers, without closing connections. */
  readonly until?: AbortSignal | undefined;
}

/**
 * Creates the element. See the module description.
 *
 * @throws NsmError INVALID_ARGUMENT if the caller's segment has no expiry; later elements then do not see the
 * Request
 */
export function timeout({ until }: TimeoutOptions = {}): NetworkServiceElement {
  const timer = new TimerSlot("timeout", until);

  return {
    name: "timeout",
    inside: ["begin", "connection-state"],
    outside: ["trim-path", "connect", "mechanisms", "discover", "discover-forwarder", "round-robin"],
    provides: [timer.slot],
    debugState: () => ({ timers: timer.size }),

    async request(ctx, request, next) {
      const expires = callerExpires(connectionOf(request));
      const asked = ctx.remainingMs ?? 0;
      const response = await next.request(ctx, request);

      const left = expires - ctx.clock.now();
      const events = ctx.get(connectionEvents)!;
      // A failed refresh does not reach this point, so the timer of the earlier Request continues.
      timer.arm(ctx, left - Math.min(asked, left / 3), (signal) => {
        log(ctx).info({ connection: response.id }, "closing a connection that was not refreshed");
        return events.close({ signal, cause: "timeout" });
      });
      return response;
    },
  };
}

/** Expiry of the caller's token, in milliseconds since the epoch. */
function callerExpires(connection: Connection): number {
  const caller = previousSegment(connection);
  if (!caller?.expires) {
    const who = caller
      ? `the segment of "${caller.name}" has no expiry`
      : "the path has no segment of the caller";
    throw new NsmError(Code.InvalidArgument, `the caller's token needs an expiry: ${who}`);
  }
  return fromTimestamp(caller.expires);
}
