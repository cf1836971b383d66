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
  /** The name of the kind in messages: `network service`, `endpoint`. */
  readonly noun: string;
  /** Creates a query for entries like `like`. Fields that `like` omits match any value. */
  query(like: Partial<E>, watch: boolean): Q;
  /** The queried entry, or undefined for a query of all entries. */
  asked(query: Q): E | undefined;
  /** Creates the response that reports an entry, or its deletion. */
  found(entry: E, deleted: boolean): F;
  /** The entry of a response, or undefined if a faulty peer sent none. */
  entry(found: F): E | undefined;
  /** Whether a response reports a deletion. */
  isDeleted(found: F): boolean;
  /** Whether a stored entry matches the queried entry. */
  matches(asked: E | undefined, stored: E): boolean;
  /** The services that an entry belongs to or has labels for. Indexes use them as keys besides the name. */
  services(entry: E): readonly string[];
  /**
   * The supersets of a query's answers that a cache can watch, from narrow to wide: endpoints of a service
   * under a URL, endpoints of a service, the network service of a name. Empty for a query without a service or
   * name.
   */
  scopes(asked: E): readonly Partial<E>[];
  /** Creates the collection from which a cache selects entries like `like` for a Find with an `endpointChoice`. */
  choices(like: Partial<E>): EntryChoices<E> | undefined;
  /** Expiration time of an entry, in milliseconds since the epoch, or undefined if it never expires. */
  expiresAt(entry: E): number | undefined;
  /** Size of an encoded entry, in bytes. */
  bytes(entry: E): number;
}

/** Entries to select from. See `endpointChoice`. */
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
