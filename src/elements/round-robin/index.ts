/**
 * Tries the candidates that discover() found. Each new connection of a network service starts with the next
 * candidate. Server side; after discover(), before connectServer().
 *
 * Reads `candidates`; sets `remoteUrl` and the connection's endpoint name. The first candidate that accepts the
 * connection is used. The values that a failed candidate set are released before the next try. If the Context
 * already has a URL, roundRobin() does nothing.
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

// Limits the stored services, because callers choose the names. Other services start with the first candidate.
const MOST_SERVICES = 1_000;

/**
 * Creates the element. See the module description. If all candidates fail, the error has their common code or
 * UNAVAILABLE, and all failures as its cause.
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
        (tried) => `all ${tried} endpoints of network service "${service}" rejected the connection`,
      );
    },
  };
}

/** All endpoints in rotated order, each once. */
function inTurn(
  endpoints: readonly NetworkServiceEndpoint[],
  turn: number,
): Iterable<NetworkServiceEndpoint> {
  const start = turn % endpoints.length;
  const rotated = [...endpoints.slice(start), ...endpoints.slice(0, start)];
  return new Map(rotated.map((endpoint) => [endpoint.name, endpoint])).values();
}
