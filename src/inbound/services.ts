import type {
  EndpointRegistry,
  MonitorConnection,
  NetworkService,
  NetworkServiceRegistry,
} from "../core/index.js";

/** The services that a process offers. Calls of an omitted service fail with UNIMPLEMENTED. */
export interface Services {
  readonly networkService?: NetworkService | undefined;
  readonly monitor?: MonitorConnection | undefined;
  readonly networkServices?: NetworkServiceRegistry | undefined;
  readonly endpoints?: EndpointRegistry | undefined;
}
