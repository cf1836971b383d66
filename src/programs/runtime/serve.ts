import type { DependencyContainer } from "tsyringe";
import type { DebugState } from "../../core/index.js";
import type { Transport } from "../../chains/endpoint/index.js";
import { grpcServer, type GrpcServerOptions, type Server, type Services } from "../../inbound/index.js";
import type { Running } from "./program.js";
import { Tokens } from "./tokens.js";

/** The services of a program, and the resources that it holds. */
export interface Served extends Services {
  debugState(): DebugState;
}

/** What differs between the servers of programs. */
type ServerOptions = Pick<GrpcServerOptions, "attachments">;

/**
 * Serves a chain's services with the program's identity. Creates the chain once the actual addresses are
 * known.
 */
export async function serve(
  app: DependencyContainer,
  listenOn: readonly string[],
  servicesAt: (listenOn: readonly string[]) => Served,
  options: ServerOptions = {},
): Promise<Running> {
  let served: Served | undefined;
  const server = await startServer(app, listenOn, (addresses) => (served = servicesAt(addresses)), options);
  return {
    listenOn: server.listenOn,
    stop: () => server.close(),
    debugState: () => ({ ...served!.debugState(), ...server.debugState() }),
  };
}

/** The gRPC transport from the container. */
export function transport(app: DependencyContainer): Transport {
  return {
    remotes: app.resolve(Tokens.remotes),
    serve: (listenOn, services) => startServer(app, listenOn, services),
  };
}

/** Starts a gRPC server with the identity, clock, logger and limits of the program. */
export function startServer(
  app: DependencyContainer,
  listenOn: readonly string[],
  services: GrpcServerOptions["services"],
  { attachments }: ServerOptions = {},
): Promise<Server> {
  return grpcServer({
    identity: app.resolve(Tokens.identity),
    listenOn,
    services,
    attachments,
    clock: app.resolve(Tokens.clock),
    logger: app.resolve(Tokens.logger),
    limits: app.resolve(Tokens.limits),
  });
}
