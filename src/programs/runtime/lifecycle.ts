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

/** How long a program may take to close its connections after SIGTERM before it ends all the same. */
const STOP_WITHIN_MS = 20_000;

/** Exit codes: 1 for what may work at another time, 2 for flags that must be changed. */
const FAILED = 1;
const BAD_CONFIGURATION = 2;

/**
 * Runs a program from configuration to exit: one JSON line `{"ready":true,"listenOn":[…]}` on stdout when it
 * can do its work; a signal closes its connections and ends it with code 0. Whatever keeps it from starting is
 * one line on stderr, with code 1, or 2 if the configuration must be changed.
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
    logger.info({ logLevel: logger.level }, "the log level was changed");
  });
  signals.onUnwritable((error) => {
    logger.warn({ error: explain(error) }, "stdout cannot be written; a line for it is lost");
  });
  // Connections, streams and the timers of a client do not keep a process alive.
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  let starting = true;
  // What a program waits for while it starts is given up; one that has started stops in order.
  const giveUp = (): void => {
    logger.info({ reason: String(stop.reason) }, "stopping");
    if (starting) life.abort();
  };
  if (stop.aborted) giveUp();
  else stop.addEventListener("abort", giveUp, { once: true });
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
    logger.trace({ err: error }, "this is where it came from");
    return error instanceof ConfigurationError ? BAD_CONFIGURATION : FAILED;
  } finally {
    clearInterval(hold);
    life.abort();
  }
}

/** Says when the program is ready. Resolves when it is to stop, rejects when it cannot do its job. */
async function serveUntil(
  stop: AbortSignal,
  running: Running,
  address: CommonConfig["metrics"],
): Promise<void> {
  const over = Promise.race([aborted(stop), failureOf(running)]);
  // It may fail before the metrics are served; that is told afterwards.
  over.catch(() => {});
  const metrics = address === undefined ? undefined : await metricsAt(address, running);
  try {
    await Promise.race([over, running.able]);
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

/** Serves metrics. Loaded only when asked for, as it brings a library. */
async function metricsAt(
  address: NonNullable<CommonConfig["metrics"]>,
  running: Running,
): ReturnType<typeof Metrics.serveMetrics> {
  const { serveMetrics } = await import("./metrics.js");
  return serveMetrics(address, running);
}

/** Rejects with the program's failure, never resolves. */
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
