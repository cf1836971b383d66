import { ContextKey } from "./context.js";
import type {
  EndpointRegistry,
  MonitorConnection,
  NetworkService,
  NetworkServiceRegistry,
} from "./services.js";

/** The services of another process. The interface is the same over gRPC and in memory. */
export interface Remote {
  /** The address, as given: `tcp://127.0.0.1:5001`, `unix:///run/nsm.sock`. */
  readonly url: string;
  readonly networkService: NetworkService;
  readonly monitor: MonitorConnection;
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/** Connects to other processes. The same address always yields the same remote. */
export interface Remotes {
  /**
   * @throws NsmError INVALID_ARGUMENT if the address is not `tcp://host:port`, `unix:///path` or a dial target.
   */
  to(url: string): Remote;
  /** Closes every remote. Calls in progress fail with CANCELLED. */
  close(): void;
}

/**
 * The address of the next hop. Set by client-url, discover, round-robin and discover-forwarder, and read by
 * dial.
 */
export const remoteUrl = new ContextKey<string>("remote-url");
