/**
 * Closes a connection that its caller does not refresh: before the caller's token expires, early enough for the
 * Close to reach the last hop with tokens that still hold. How early is what the Request had for its time; when
 * that would leave less than two thirds of the token's life, it is a third of it.
 *
 * Server side. After begin, update-token and connection-state; outside what may fail, so that it sees the final
 * answer. Reads `connectionEvents`.
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

/** How long timers may run. */
export interface TimeoutOptions {
  /** Ends all timers, without closing anything: the program's life. */
  readonly until?: AbortSignal;
}

/**
 * See the module's description.
 *
 * @throws NsmError INVALID_ARGUMENT when the caller's segment does not say when it expires; nothing behind this
 * element has heard of the Request then
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
      // A refresh that fails does not come here: the timer of the Request before it goes on.
      timer.arm(ctx, left - Math.min(asked, left / 3), (signal) => {
        log(ctx).info({ connection: response.id }, "closing a connection that was not refreshed");
        return events.close({ signal, cause: "timeout" });
      });
      return response;
    },
  };
}

/** When the caller's token expires, in milliseconds since the epoch. */
function callerExpires(connection: Connection): number {
  const caller = previousSegment(connection);
  if (!caller?.expires) {
    const who = caller ? `the segment of "${caller.name}" does not say` : "there is no segment that says";
    throw new NsmError(Code.InvalidArgument, `${who} when the caller's token expires`);
  }
  return fromTimestamp(caller.expires);
}
