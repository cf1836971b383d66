import { ContextKey } from "./context.js";
import type {
  EndpointRegistry,
  MonitorConnection,
  NetworkService,
  NetworkServiceRegistry,
} from "./services.js";

/** The services of another process, as if they were here. Whether gRPC or memory lies between does not show. */
export interface Remote {
  /** Where it leads, as given: `tcp://127.0.0.1:5001`, `unix:///run/nsm.sock`. */
  readonly url: string;
  readonly networkService: NetworkService;
  readonly monitor: MonitorConnection;
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/** Leads to other processes. Asking twice for one address gives the same remote. */
export interface Remotes {
  /** @throws NsmError INVALID_ARGUMENT for an address that is no `tcp://host:port`, `unix:///path` or dial target. */
  to(url: string): Remote;
  /** Ends every remote; calls under way fail with CANCELLED. */
  close(): void;
}

/** Where a call goes next. Set by client-url, discover, round-robin and discover-forwarder; read by dial. */
export const remoteUrl = new ContextKey<string>("remote-url");
