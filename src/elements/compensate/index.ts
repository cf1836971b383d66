/**
 * Closes a connection that the next hop may have established although its answer was lost. It sends a Close if
 * the first Request of a connection fails with a code that leaves the outcome open (timeout, canceled,
 * unavailable, unknown). Segment ids are derived, so the next hop recognizes the connection even without its
 * segment in the path.
 *
 * Client side; after dial(), so that it covers every candidate of round-robin while the remote is known. It
 * does not close a connection that later hops may still hold, as in a refresh or a heal that keeps its
 * endpoint.
 *
 * @example
 * import { chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { compensate } from "nsm-sdk/elements/compensate";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 *
 * chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   dial({ remotes }),
 *   compensate(),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { connectionOf, nextSegment, State, type Connection } from "../../api/index.js";
import { Code, codeOf, log, Slot, type NetworkServiceElement } from "../../core/index.js";

/** Options of compensate(). */
export interface CompensateOptions {
  /**
   * Time limit of the Close, in milliseconds. Default: 5,000. Never more than half of the Request's time limit,
   * because the next candidate is tried only after the Close.
   */
  readonly timeoutMs?: number | undefined;
}

const ambiguous = new Set<Code>([
  Code.DeadlineExceeded,
  Code.Unavailable,
  Code.Cancelled,
  Code.Unknown,
  Code.Internal,
]);

/** Creates the element. See the module description. */
export function compensate({ timeoutMs = 5_000 }: CompensateOptions = {}): NetworkServiceElement {
  const answered = new Slot<true>("compensate");

  return {
    name: "compensate",
    inside: ["connection-state"],
    provides: [answered],

    async request(ctx, request, next) {
      const connection = connectionOf(request);
      try {
        const response = await next.request(ctx, request);
        answered.set(ctx, true);
        return response;
      } catch (error) {
        if (!answered.get(ctx) && isNew(connection) && ambiguous.has(codeOf(error))) {
          await ctx
            .detached((c) => next.close(c, connection), Math.min(timeoutMs, (ctx.budgetMs ?? Infinity) / 2))
            .catch((cause: unknown) =>
              log(ctx).debug({ err: cause, connection: connection.id }, "close after a lost answer failed"),
            );
        }
        throw error;
      }
    },
  };
}

/** Whether no later hop can hold the connection from an earlier Request. */
function isNew(connection: Connection): boolean {
  return nextSegment(connection) === undefined || connection.state === State.RESELECT_REQUESTED;
}
