import type {
  EndpointRegistry,
  MonitorConnection,
  NetworkService,
  NetworkServiceRegistry,
} from "../core/index.js";

/** What a process offers to others. What is left out answers UNIMPLEMENTED. */
export interface Services {
  readonly networkService?: NetworkService | undefined;
  readonly monitor?: MonitorConnection | undefined;
  readonly networkServices?: NetworkServiceRegistry | undefined;
  readonly endpoints?: EndpointRegistry | undefined;
}
