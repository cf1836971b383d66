import {
  HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  HealthService,
  MonitorConnectionService,
  NetworkServiceEndpointRegistryService,
  NetworkServiceRegistryService,
  NetworkServiceService,
} from "../api/index.js";
import { map, type Observable } from "rxjs";
import type { Context, Remote, Remotes } from "../core/index.js";
import type { Caller } from "./caller.js";

/** The health service of a server. */
export interface Health {
  /**
   * Returns whether the service of that full name serves. Without a name, returns whether the whole server
   * serves.
   *
   * @throws NsmError NOT_FOUND if the server does not know the name
   */
  check(ctx: Context, service?: string): Promise<boolean>;
  /** Emits the state, then every change, without end. An unknown service counts as not serving. */
  watch(ctx: Context, service?: string): Observable<boolean>;
}

/** A remote with a health service. */
export interface HealthRemote extends Remote {
  readonly health: Health;
}

/** Remotes with a health service. */
export interface HealthRemotes extends Remotes {
  to(url: string): HealthRemote;
}

/** Builds the services of another process on a caller. */
export function remoteOver(url: string, caller: Caller): HealthRemote {
  const serves = ({ status }: { status: number }): boolean =>
    status === HealthCheckResponse_ServingStatus.SERVING;
  const carriesPath = { carriesPath: true };
  const network = NetworkServiceService;
  const services = NetworkServiceRegistryService;
  const endpoints = NetworkServiceEndpointRegistryService;
  return {
    url,
    networkService: {
      request: (ctx, request) => caller.unary(ctx, network.request, request),
      close: async (ctx, connection) => void (await caller.unary(ctx, network.close, connection)),
    },
    monitor: {
      monitorConnections: (ctx, selector) =>
        caller.stream(ctx, MonitorConnectionService.monitorConnections, selector),
    },
    networkServices: {
      register: (ctx, entry) => caller.unary(ctx, services.register, entry, carriesPath),
      find: (ctx, query) => caller.stream(ctx, services.find, query),
      unregister: async (ctx, entry) =>
        void (await caller.unary(ctx, services.unregister, entry, carriesPath)),
    },
    endpoints: {
      register: (ctx, entry) => caller.unary(ctx, endpoints.register, entry, carriesPath),
      find: (ctx, query) => caller.stream(ctx, endpoints.find, query),
      unregister: async (ctx, entry) =>
        void (await caller.unary(ctx, endpoints.unregister, entry, carriesPath)),
    },
    health: {
      check: async (ctx, service = "") =>
        serves(await caller.unary(ctx, HealthService.check, HealthCheckRequest.create({ service }))),
      watch: (ctx, service = "") =>
        caller.stream(ctx, HealthService.watch, HealthCheckRequest.create({ service })).pipe(map(serves)),
    },
  };
}
