import "reflect-metadata";
import type { Logger as PinoLogger } from "pino";
import { container, instanceCachingFactory, type DependencyContainer } from "tsyringe";
import { explain, systemClock, type Logger, type NsmError } from "../../core/index.js";
import {
  fileIdentity,
  insecureIdentity,
  spiffeIdentity,
  workloadApiSource,
  type Identity,
  type X509Source,
} from "../../identity/index.js";
import { workloadTarget } from "../../identity/workload-address.js";
import { grpcRemotes } from "../../outbound/index.js";
import type { CommonConfig } from "../config/options.js";
import { badConfiguration, withFlag } from "../config/values.js";
import { programLogger, traceWhenVerbose } from "./log.js";
import { Tokens } from "./tokens.js";

/**
 * The container of one program, with all shared services registered. Embedding code can replace any of them
 * before it starts the program.
 */
export async function defaultContainer(
  config: CommonConfig,
  until: AbortSignal,
  logger: PinoLogger = programLogger(config),
): Promise<DependencyContainer> {
  const app = container.createChildContainer();
  app.registerInstance(Tokens.clock, systemClock);
  app.registerInstance(Tokens.logger, logger);
  app.registerInstance(Tokens.until, until);
  app.registerInstance(Tokens.identity, await openIdentity(config, until, logger));
  app.registerInstance(Tokens.limits, config.limits ?? {});
  app.registerInstance(Tokens.extraElements, []);
  app.registerInstance(Tokens.trace, traceWhenVerbose(logger));
  app.register(Tokens.remotes, {
    useFactory: instanceCachingFactory((c) =>
      grpcRemotes({ identity: c.resolve(Tokens.identity), clock: c.resolve(Tokens.clock) }),
    ),
  });
  return app;
}

async function openIdentity(config: CommonConfig, until: AbortSignal, logger: Logger): Promise<Identity> {
  const { identity, insecure, maxTokenLifetime: maxLifetimeMs } = config;
  if (insecure) {
    if (identity) {
      const source = identity === "spiffe" ? identity : `files=${identity.files}`;
      throw badConfiguration(`--insecure and --identity ${source} exclude each other: use only one`);
    }
    logger.warn({}, "--insecure: no TLS and no policies: every process that can connect has full access");
    return insecureIdentity({ clock: systemClock, maxLifetimeMs });
  }
  if (!identity) {
    throw badConfiguration(
      "this process has no identity: give --identity spiffe with SPIFFE_ENDPOINT_SOCKET, --identity files=DIR (ca.pem, svid.pem, key.pem), or --insecure for trials",
    );
  }
  const onProblem = (problem: NsmError): void =>
    logger.warn({ error: explain(problem) }, "the identity has a problem");
  const tokens = { clock: systemClock, maxLifetimeMs };
  if (identity !== "spiffe") return fileIdentity(identity.files, { ...tokens, onProblem });
  return spiffeIdentity(await workloadApi(until, onProblem), tokens);
}

/** Follows the Workload API that the environment names. */
async function workloadApi(until: AbortSignal, onProblem: (problem: NsmError) => void): Promise<X509Source> {
  const socket = process.env.SPIFFE_ENDPOINT_SOCKET ?? "";
  if (socket === "") {
    throw badConfiguration(
      "--identity spiffe needs the address of a Workload API: set SPIFFE_ENDPOINT_SOCKET, for example to unix:///run/spire/sockets/agent.sock",
    );
  }
  withFlag("SPIFFE_ENDPOINT_SOCKET", socket, () => workloadTarget(socket));
  return workloadApiSource({ socket, onProblem, signal: until, clock: systemClock });
}
