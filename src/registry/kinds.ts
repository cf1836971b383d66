import {
  fromTimestamp,
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  type NetworkServiceEndpointQuery,
  type NetworkServiceEndpointResponse,
  type NetworkServiceQuery,
  type NetworkServiceResponse,
} from "../api/index.js";
import { type RegistryEntry } from "../core/index.js";
import { matchesEndpointQuery, matchesServiceQuery } from "./matching-query.js";
import { type EndpointChoice } from "./endpoint-choice.js";
import { EndpointCircles } from "./endpoint-circles.js";

/** A query of either registry. */
export interface WatchableQuery {
  readonly watch: boolean;
}

/** One of the two registries, as a set of functions over its messages. */
export interface RegistryKind<E extends RegistryEntry, Q extends WatchableQuery, F> {
  /** For people: `network service`, `endpoint`. */
  readonly noun: string;
  /** A query for what looks like `like`; what `like` leaves out does not count. */
  query(like: Partial<E>, watch: boolean): Q;
  /** What a query asks for; undefined asks for everything. */
  asked(query: Q): E | undefined;
  /** The response that tells of the entry, or that it is gone. */
  found(entry: E, deleted: boolean): F;
  /** The entry of a response; undefined when a faulty peer sent none. */
  entry(found: F): E | undefined;
  /** Whether a response says that its entry is gone. */
  isDeleted(found: F): boolean;
  /** Whether a stored entry answers what was asked for. */
  matches(asked: E | undefined, stored: E): boolean;
  /** The services an entry belongs to or has labels for: what it can be looked up by beside its name. */
  services(entry: E): readonly string[];
  /**
   * What contains every answer to a query, from narrow to wide, for a cache to watch: endpoints of a service under a
   * URL, endpoints of a service, the network service of a name. Empty for a query that names nothing of the kind.
   */
  scopes(asked: E): readonly Partial<E>[];
  /** For what looks like `like`: what lets a cache choose some entries for a Find that says what it is for. */
  choices(like: Partial<E>): EntryChoices<E> | undefined;
  /** When it is over, in milliseconds since the epoch; undefined for never. */
  expiresAt(entry: E): number | undefined;
  /** How large it is, encoded. */
  bytes(entry: E): number;
}

/** Entries to choose from, see `endpointChoice`. */
export interface EntryChoices<E extends RegistryEntry> {
  put(entry: E): void;
  delete(name: string): void;
  choose(choice: EndpointChoice, isCurrent: (entry: E) => boolean): readonly E[] | undefined;
}

/** The registry of network services. */
export const networkServiceKind: RegistryKind<
  NetworkServiceEntry,
  NetworkServiceQuery,
  NetworkServiceResponse
> = {
  noun: "network service",
  query: (like, watch) => ({ networkService: NetworkServiceEntry.create({ ...like } as object), watch }),
  asked: (query) => query.networkService,
  found: (networkService, deleted) => ({ networkService, deleted }),
  entry: (found) => found.networkService,
  isDeleted: (found) => found.deleted,
  matches: matchesServiceQuery,
  services: () => [],
  scopes: ({ name }) => (name === "" ? [] : [{ name }]),
  choices: () => undefined,
  expiresAt: () => undefined,
  bytes: (service) => NetworkServiceEntry.encode(service).finish().length,
};

/** The registry of network service endpoints. */
export const endpointKind: RegistryKind<
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse
> = {
  noun: "endpoint",
  query: (like, watch) => ({
    networkServiceEndpoint: NetworkServiceEndpoint.create({ ...like } as object),
    watch,
  }),
  asked: (query) => query.networkServiceEndpoint,
  found: (networkServiceEndpoint, deleted) => ({ networkServiceEndpoint, deleted }),
  entry: (found) => found.networkServiceEndpoint,
  isDeleted: (found) => found.deleted,
  matches: matchesEndpointQuery,
  services({ networkServiceNames: names, networkServiceLabels }) {
    const more = Object.keys(networkServiceLabels).filter((service) => !names.includes(service));
    return more.length === 0 ? names : [...names, ...more];
  },
  scopes: ({ networkServiceNames: [service], url }) => {
    if (service === undefined) return [];
    const whole = { networkServiceNames: [service] };
    return url === "" ? [whole] : [{ ...whole, url }, whole];
  },
  choices: ({ networkServiceNames: [service] = [], url }) =>
    service === undefined || url ? undefined : new EndpointCircles(service),
  expiresAt: ({ expirationTime }) => expirationTime && fromTimestamp(expirationTime),
  bytes: (endpoint) => NetworkServiceEndpoint.encode(endpoint).finish().length,
};
