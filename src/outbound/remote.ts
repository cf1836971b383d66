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

/** Asks a server whether it serves. */
export interface Health {
  /**
   * Whether the service of that full name serves; without a name, the server as a whole.
   *
   * @throws NsmError NOT_FOUND when the server does not know the name
   */
  check(ctx: Context, service?: string): Promise<boolean>;
  /** First the state, then each change of it, for ever. A service the server does not know does not serve. */
  watch(ctx: Context, service?: string): Observable<boolean>;
}

/** A remote whose other end can be asked how it is. */
export interface HealthRemote extends Remote {
  readonly health: Health;
}

/** Remotes whose other ends can be asked how they are. */
export interface HealthRemotes extends Remotes {
  to(url: string): HealthRemote;
}

/** The services of another process on top of what can call it. */
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
