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

/** Request creates a connection or refreshes the one with the same id; Close takes it down. */
export interface NetworkService {
  /** The connection as it came about: what the endpoint chose, and the path with every hop. */
  request(ctx: Context, request: NetworkServiceRequest): Promise<Connection>;
  /** Of a connection that nobody knows, it succeeds at the last hop: closing twice is no error. */
  close(ctx: Context, connection: Connection): Promise<void>;
}

/** Tells what happens to connections: first all that match the selector, then every change. */
export interface MonitorConnection {
  /** Stays open until `ctx` or the reader ends it. An empty selector selects everything. */
  monitorConnections(ctx: Context, selector: MonitorScopeSelector): Observable<ConnectionEvent>;
}

/** Knows network services or endpoints. `find` completes, or stays open when the query says `watch`. */
export interface Registry<Entry, Query, Found> {
  /** Adds the entry or renews it; answers with the entry as it is kept. */
  register(ctx: Context, entry: Entry): Promise<Entry>;
  /** What looks like the query's entry: fields that are left empty do not count. */
  find(ctx: Context, query: Query): Observable<Found>;
  /** Takes the entry out; one that is not there is no error. */
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

/** What every entry of a registry has. */
export interface RegistryEntry {
  readonly name: string;
  readonly pathIds: readonly string[];
}

/** An element of a network service's chain. */
export type NetworkServiceElement = ChainElement<NetworkService>;

/** An element of a monitor's chain: it may refuse a selector, narrow it, or count and change what is reported. */
export type MonitorElement = ChainElement<MonitorConnection>;

/** An element that stands in the chain of either registry. */
export type RegistryElement<E, Q, F> = ChainElement<Registry<E, Q, F>>;

/** Links elements of the Request/Close chain; without a tail the answer is the request's own connection. */
export const chain = chainOf<NetworkService>({
  async request(_ctx, request) {
    if (!request.connection) throw new NsmError(Code.InvalidArgument, "the request carries no connection");
    return request.connection;
  },
  async close() {},
});

/** Links elements of a monitor's chain; without a tail a stream ends at once. */
export const monitorChain = chainOf<MonitorConnection>({ monitorConnections: () => EMPTY });

/** A registry that takes everything and knows nothing: the end of a registry chain. */
function registryTail<E, Q, F>(): Registry<E, Q, F> {
  return { register: async (_ctx, entry) => entry, find: () => EMPTY, unregister: async () => {} };
}

/** Links elements of the registry of network services. */
export const networkServiceRegistryChain = chainOf<NetworkServiceRegistry>(registryTail());

/** Links elements of the registry of endpoints. */
export const endpointRegistryChain = chainOf<EndpointRegistry>(registryTail());
