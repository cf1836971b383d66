/**
 * Closes what may have come about although the answer was lost. When the first Request of a connection ends in a
 * code that says nothing about what the next hop did (time over, cancelled, remote lost, unknown), a Close follows
 * it: segment ids are derived, so the next hop knows what is meant although its segment is not in the path.
 *
 * Client side; after dial(), so that every candidate of round-robin is covered while its remote is known. A
 * connection that other hops may hold on purpose (a refresh, a heal that keeps its endpoint) is left alone.
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

/** How long the Close may take. */
export interface CompensateOptions {
  /**
   * Milliseconds. Default: 5,000, and no more than half of the time the Request had: whoever tries another next hop
   * waits for the Close.
   */
  readonly timeoutMs?: number;
}

const ambiguous = new Set<Code>([
  Code.DeadlineExceeded,
  Code.Unavailable,
  Code.Cancelled,
  Code.Unknown,
  Code.Internal,
]);

/** See the module's description. */
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

/** Whether no hop behind this one can hold the connection on purpose. */
function isNew(connection: Connection): boolean {
  return nextSegment(connection) === undefined || connection.state === State.RESELECT_REQUESTED;
}
