import { EMPTY, type Observable } from "rxjs";
import type {
  Connection,
  ConnectionEvent,
  MonitorScopeSelector,
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse,
  NetworkServiceEntry,
  NetworkServiceQuery,
  NetworkServiceRequest,
  NetworkServiceResponse,
} from "../api/index.js";
import type { Context } from "./context.js";
import { chainOf, type ChainElement } from "./element.js";
import { Code, NsmError } from "./errors.js";

/** Request creates a connection, or refreshes the connection with the same id. Close removes it. */
export interface NetworkService {
  /** Returns the established connection, with the choices of the endpoint and the path through every hop. */
  request(ctx: Context, request: NetworkServiceRequest): Promise<Connection>;
  /** Closing an unknown connection succeeds at the last hop, so closing twice is not an error. */
  close(ctx: Context, connection: Connection): Promise<void>;
}

/** Publishes connection events: first every connection that matches the selector, then every change. */
export interface MonitorConnection {
  /** The stream stays open until `ctx` or the subscriber ends it. An empty selector matches every connection. */
  monitorConnections(ctx: Context, selector: MonitorScopeSelector): Observable<ConnectionEvent>;
}

/** A registry of network services or endpoints. `find` completes, or stays open if the query has `watch` set. */
export interface Registry<Entry, Query, Found> {
  /** Adds or renews the entry. Returns the entry as stored. */
  register(ctx: Context, entry: Entry): Promise<Entry>;
  /** Returns the entries that match the query's entry. Empty fields match any value. */
  find(ctx: Context, query: Query): Observable<Found>;
  /** Removes the entry. Removing an unknown entry is not an error. */
  unregister(ctx: Context, entry: Entry): Promise<void>;
}

/** The registry of network services. */
export type NetworkServiceRegistry = Registry<
  NetworkServiceEntry,
  NetworkServiceQuery,
  NetworkServiceResponse
>;

/** The registry of network service endpoints. */
export type EndpointRegistry = Registry<
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse
>;

/** The fields that all registry entries have. */
export interface RegistryEntry {
  readonly name: string;
  readonly pathIds: readonly string[];
}

/** An element of a network service's chain. */
export type NetworkServiceElement = ChainElement<NetworkService>;

/** An element of a monitor chain. It can reject or narrow a selector, and count or change the events. */
export type MonitorElement = ChainElement<MonitorConnection>;

/** An element that works in the chains of both registries. */
export type RegistryElement<E, Q, F> = ChainElement<Registry<E, Q, F>>;

/** Links the elements of a Request/Close chain. Without a tail, the answer is the connection of the request. */
export const chain = chainOf<NetworkService>({
  async request(_ctx, request) {
    if (!request.connection) throw new NsmError(Code.InvalidArgument, "the request has no connection");
    return request.connection;
  },
  async close() {},
});

/** Links the elements of a monitor chain. Without a tail, the stream completes at once. */
export const monitorChain = chainOf<MonitorConnection>({ monitorConnections: () => EMPTY });

/** The default end of a registry chain: it accepts every entry and stores none. */
function registryTail<E, Q, F>(): Registry<E, Q, F> {
  return { register: async (_ctx, entry) => entry, find: () => EMPTY, unregister: async () => {} };
}

/** Links the elements of a network service registry. */
export const networkServiceRegistryChain = chainOf<NetworkServiceRegistry>(registryTail());

/** Links the elements of an endpoint registry. */
export const endpointRegistryChain = chainOf<EndpointRegistry>(registryTail());
