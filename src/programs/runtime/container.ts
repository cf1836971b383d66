import "reflect-metadata";
import type { Logger as PinoLogger } from "pino";
import { container, instanceCachingFactory, type DependencyContainer } from "tsyringe";
import { explain, systemClock, type Logger } from "../../core/index.js";
import { fileIdentity, insecureIdentity, type Identity } from "../../identity/index.js";
import { grpcRemotes } from "../../outbound/index.js";
import type { CommonConfig } from "../config/options.js";
import { badConfiguration } from "../config/values.js";
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
  app.registerInstance(Tokens.identity, await openIdentity(config, logger));
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

async function openIdentity(config: CommonConfig, logger: Logger): Promise<Identity> {
  const { identity, insecure, maxTokenLifetime: maxLifetimeMs } = config;
  if (insecure) {
    if (identity) {
      throw badConfiguration(
        `--insecure and --identity files=${identity.files} exclude each other: use only one`,
      );
    }
    logger.warn({}, "--insecure: no TLS and no policies: every process that can connect has full access");
    return insecureIdentity({ clock: systemClock, maxLifetimeMs });
  }
  if (!identity) {
    throw badConfiguration(
      "this process has no identity: give --identity files=DIR (ca.pem, svid.pem, key.pem), or --insecure for trials",
    );
  }
  return fileIdentity(identity.files, {
    clock: systemClock,
    maxLifetimeMs,
    onProblem: (problem) => logger.warn({ error: explain(problem) }, "the identity files have a problem"),
  });
}
