import "reflect-metadata";
import { pino } from "pino";
import { container, instanceCachingFactory, type DependencyContainer } from "tsyringe";
import { explain, systemClock, traceChanges, type Logger } from "../core/index.js";
import { fileIdentity, insecureIdentity, type Identity } from "../identity/index.js";
import { grpcLinks } from "../outbound/index.js";
import type { CommonConfig } from "./config/options.js";
import { badConfiguration } from "./config/values.js";
import { Tokens } from "./tokens.js";

/**
 * The container of one program with everything registered that programs share. Whoever embeds a program
 * registers tokens anew before starting it.
 */
export async function defaultContainer(
  config: CommonConfig,
  until: AbortSignal,
): Promise<DependencyContainer> {
  const app = container.createChildContainer();
  const logger = programLogger(config);
  app.registerInstance(Tokens.clock, systemClock);
  app.registerInstance(Tokens.logger, logger);
  app.registerInstance(Tokens.until, until);
  app.registerInstance(Tokens.identity, await openIdentity(config, logger));
  app.registerInstance(Tokens.extraElements, []);
  const verbose = config.logLevel === "debug" || config.logLevel === "trace";
  app.register(Tokens.trace, { useFactory: () => (verbose ? traceChanges(logger) : undefined) });
  app.register(Tokens.links, {
    useFactory: instanceCachingFactory((c) =>
      grpcLinks({ identity: c.resolve(Tokens.identity), clock: c.resolve(Tokens.clock) }),
    ),
  });
  return app;
}

/** Log lines go to stderr: stdout is for the ready line and for events. */
function programLogger({ name, logLevel }: CommonConfig): Logger {
  return pino({ name, level: logLevel }, pino.destination({ dest: 2, sync: true }));
}

/** How long a program waits for its first certificates. */
async function openIdentity(config: CommonConfig, logger: Logger): Promise<Identity> {
  const maxLifetimeMs = config.maxTokenLifetime;
  if (config.insecure) {
    if (config.identity) {
      throw badConfiguration(
        `--insecure and --identity ${config.identity} exclude each other: give one of them`,
      );
    }
    logger.warn({}, "--insecure: no TLS, no policies; anybody who reaches this process may do anything");
    return insecureIdentity({ clock: systemClock, maxLifetimeMs });
  }
  const [kind, argument] = splitOnce(config.identity ?? "");
  if (kind === "files") {
    if (!argument) throw badConfiguration("--identity files names no directory: give files=DIR");
    return fileIdentity(argument, {
      clock: systemClock,
      maxLifetimeMs,
      onProblem: (problem) =>
        logger.warn({ error: explain(problem) }, "keeping the certificates that were read before"),
    });
  }
  if (config.identity !== undefined) {
    throw badConfiguration(`--identity was "${config.identity}": allowed is files=DIR`);
  }
  throw badConfiguration(
    "this process has no identity: give --identity files=DIR (ca.pem, svid.pem, key.pem), or --insecure to try out",
  );
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
