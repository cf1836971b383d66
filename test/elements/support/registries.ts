import { concat, EMPTY, from, throwError } from "rxjs";
import { Match, NetworkServiceEndpoint, NetworkServiceEntry } from "../../../src/api/index.js";
import { type EndpointRegistry, type NetworkServiceRegistry } from "../../../src/core/index.js";
import { matchesEndpointQuery, matchesServiceQuery, type Labels } from "../../../src/registry/index.js";

/** Two registries with given entries that count their Finds. */
export interface Registries {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  readonly services: NetworkServiceEntry[];
  readonly known: NetworkServiceEndpoint[];
  /** Makes every Find fail. */
  fail(error: Error): void;
}

export function registries(
  services: NetworkServiceEntry[] = [],
  known: NetworkServiceEndpoint[] = [],
): Registries {
  let failure: Error | undefined;
  const broken = () => (failure ? throwError(() => failure) : EMPTY);
  const unused = {
    register: () => Promise.reject(new Error("unused")),
    unregister: () => Promise.reject(new Error("unused")),
  };
  return {
    services,
    known,
    fail: (error) => void (failure = error),
    networkServices: {
      ...unused,
      find: (_ctx, { networkService: query }) =>
        concat(
          broken(),
          from(
            services
              .filter((entry) => matchesServiceQuery(query, entry))
              .map((networkService) => ({ networkService, deleted: false })),
          ),
        ),
    },
    endpoints: {
      ...unused,
      find: (_ctx, { networkServiceEndpoint: query }) =>
        concat(
          broken(),
          from(
            known
              .filter((entry) => matchesEndpointQuery(query, entry))
              .map((networkServiceEndpoint) => ({ networkServiceEndpoint, deleted: false })),
          ),
        ),
    },
  };
}

export function service(name: string, ...matches: Parameters<typeof Match.create>[0][]): NetworkServiceEntry {
  return NetworkServiceEntry.create({
    name,
    payload: "IP",
    matches: matches.map((match) => Match.create(match)),
  });
}

/** An endpoint at `tcp://NAME`. */
export function endpoint(
  name: string,
  { of = "icmp", labels, expires }: { of?: string; labels?: Labels; expires?: number } = {},
): NetworkServiceEndpoint {
  return NetworkServiceEndpoint.create({
    name,
    networkServiceNames: [of],
    url: `tcp://${name}`,
    networkServiceLabels: labels ? { [of]: { labels: { ...labels } } } : {},
    ...(expires === undefined ? {} : { expirationTime: { seconds: Math.floor(expires / 1000), nanos: 0 } }),
  });
}
