import { explain } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";
import { ConfigurationError } from "../config/values.js";
import { defaultContainer } from "./container.js";
import type * as Metrics from "./metrics.js";
import type { Program, Running } from "./program.js";
import { silenceGrpcLog } from "./grpc-log.js";
import { programLogger } from "./log.js";
import { operatorSignals, type OperatorSignals } from "./signals.js";
import { Tokens } from "./tokens.js";

/** Time limit for closing connections after SIGTERM, in milliseconds. Then the program exits anyway. */
const STOP_WITHIN_MS = 20_000;

/** Exit codes: 1 for failures that a later start may not have, 2 for flags that must be changed. */
const FAILED = 1;
const BAD_CONFIGURATION = 2;

/**
 * Runs a program from configuration to exit. Prints one JSON line `{"ready":true,"listenOn":[…]}` to stdout
 * when the program is ready. A signal closes its connections and exits with code 0. A failed start prints one
 * line to stderr and exits with code 1, or 2 if the configuration must be changed.
 */
export async function runProgram<C extends CommonConfig>(
  program: Program<C>,
  config: C,
  signals: OperatorSignals = operatorSignals(),
): Promise<number> {
  const { stop } = signals;
  const life = new AbortController();
  const logger = programLogger(config);
  silenceGrpcLog();
  signals.onVerbose((verbose) => {
    const level = verbose ? "trace" : config.logLevel;
    if (logger.level === level) return;
    logger.level = level;
    logger.info({ logLevel: logger.level }, "the log level changed");
  });
  signals.onUnwritable((error) => {
    logger.warn({ error: explain(error) }, "stdout cannot be written: a line was lost");
  });
  // Connections, streams and the timers of a client do not keep a process alive.
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  let starting = true;
  // Cancels what a starting program waits for. A started program stops in order.
  const cancelStart = (): void => {
    logger.info({ reason: String(stop.reason) }, "stopping");
    if (starting) life.abort();
  };
  if (stop.aborted) cancelStart();
  else stop.addEventListener("abort", cancelStart, { once: true });
  try {
    const app = await defaultContainer(config, life.signal, logger);
    const running = await program.start(app, config);
    starting = false;
    try {
      await serveUntil(stop, running, config.metrics);
    } finally {
      await within(STOP_WITHIN_MS, running.stop());
    }
    life.abort();
    app.resolve(Tokens.remotes).close();
    app.resolve(Tokens.identity).close();
    logger.info({}, "stopped");
    return 0;
  } catch (error) {
    if (starting && stop.aborted) return 0;
    process.stderr.write(`${program.name}: ${explain(error)}\n`);
    logger.trace({ err: error }, "stack of the error");
    return error instanceof ConfigurationError ? BAD_CONFIGURATION : FAILED;
  } finally {
    clearInterval(hold);
    life.abort();
  }
}

/** Reports ready. Resolves when the program must stop; rejects if it fails. */
async function serveUntil(
  stop: AbortSignal,
  running: Running,
  address: CommonConfig["metrics"],
): Promise<void> {
  const over = Promise.race([aborted(stop), failureOf(running)]);
  // It can fail before metrics are served. That failure is reported later.
  over.catch(() => {});
  const metrics = address === undefined ? undefined : await metricsAt(address, running);
  try {
    await Promise.race([over, running.ready]);
    if (!stop.aborted)
      process.stdout.write(`${JSON.stringify({ ready: true, listenOn: running.listenOn })}\n`);
    await over;
  } finally {
    await metrics?.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Serves metrics. The library is loaded only if metrics are enabled. */
async function metricsAt(
  address: NonNullable<CommonConfig["metrics"]>,
  running: Running,
): ReturnType<typeof Metrics.serveMetrics> {
  const { serveMetrics } = await import("./metrics.js");
  return serveMetrics(address, running);
}

/** Rejects with the program's failure. Never resolves. */
function failureOf({ failed }: Running): Promise<never> {
  return new Promise((_, reject) => {
    void failed?.catch(reject);
  });
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not closed within ${ms} ms`)), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
