/**
 * Tries the candidates that discover() found, each new connection of a network service starting one further on.
 * Server side; after discover(), before connectServer().
 *
 * Reads `candidates`; sets `remoteUrl` and the connection's endpoint name. The first candidate that accepts wins;
 * the next one is asked as if those before had never been. A URL that is in the Context already decides.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectServer } from "nsm-sdk/elements/connect";
 * import { discover } from "nsm-sdk/elements/discover";
 * import { roundRobin } from "nsm-sdk/elements/round-robin";
 *
 * chain([...elements, discover({ networkServices, endpoints }), roundRobin(), connectServer(client)]);
 *
 * @packageDocumentation
 */
import { connectionOf, patchConnection, type NetworkServiceEndpoint } from "../../api/index.js";
import { tryEach, remoteUrl, type NetworkServiceElement } from "../../core/index.js";
import { candidates, candidatesInTurn } from "../discover/index.js";

// Names of services come from outside: only so many are remembered, the rest start at the beginning.
const MOST_SERVICES = 1_000;

/**
 * See the module's description. When all candidates refuse, the error has the code they agree on, else
 * UNAVAILABLE, and all their errors as cause.
 */
export function roundRobin(): NetworkServiceElement {
  const turns = new Map<string, number>();

  const takeTurn = (service: string): number => {
    const turn = turns.get(service) ?? 0;
    turns.delete(service);
    if (turns.size >= MOST_SERVICES) turns.delete(turns.keys().next().value!);
    turns.set(service, turn + 1);
    return turn;
  };

  return {
    name: "round-robin",
    outside: ["dial", "connect"],
    reads: [candidates, candidatesInTurn],
    provides: [remoteUrl],

    async request(ctx, request, next) {
      const found = ctx.get(candidates);
      if (!found || ctx.get(remoteUrl)) return next.request(ctx, request);

      const service = connectionOf(request).networkService;
      return tryEach(
        ctx,
        inTurn(found, ctx.get(candidatesInTurn) ? 0 : takeTurn(service)),
        ({ name, url }, c) => {
          const aimed = patchConnection(request, { networkServiceEndpointName: name });
          return next.request(c.with(remoteUrl, url), aimed);
        },
        (tried) => `none of ${tried} endpoints of network service "${service}" took the connection`,
      );
    },
  };
}

/** All endpoints, beginning with the one whose turn it is, each once. */
function inTurn(
  endpoints: readonly NetworkServiceEndpoint[],
  turn: number,
): Iterable<NetworkServiceEndpoint> {
  const start = turn % endpoints.length;
  const rotated = [...endpoints.slice(start), ...endpoints.slice(0, start)];
  return new Map(rotated.map((endpoint) => [endpoint.name, endpoint])).values();
}
