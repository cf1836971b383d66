import { explain } from "../core/index.js";
import type { CommonConfig } from "./config/options.js";
import { defaultContainer } from "./container.js";
import type * as Metrics from "./metrics.js";
import type { Program, Running } from "./program.js";
import { Tokens } from "./tokens.js";

/** How long a program may take to close its connections after SIGTERM before it ends all the same. */
const STOP_WITHIN_MS = 20_000;

/**
 * Runs a program from configuration to exit: one JSON line `{"ready":true,"listenOn":[…]}` on stdout when it
 * serves, SIGTERM or SIGINT closes its connections and ends it with code 0, anything that keeps it from
 * starting is one line on stderr and code 1.
 */
export async function runProgram<C extends CommonConfig>(program: Program<C>, config: C): Promise<number> {
  const life = new AbortController();
  const told = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => told.abort());
  let starting = true;
  // What a program waits for while it starts is given up; one that has started stops in order.
  told.signal.addEventListener("abort", () => starting && life.abort(), { once: true });
  try {
    const app = await defaultContainer(config, life.signal);
    const running = await program.start(app, config);
    starting = false;
    try {
      await serveUntil(told.signal, running, config.metrics);
    } finally {
      await within(STOP_WITHIN_MS, running.stop());
    }
    life.abort();
    app.resolve(Tokens.links).close();
    app.resolve(Tokens.identity).close();
    return 0;
  } catch (error) {
    if (starting && told.signal.aborted) return 0;
    process.stderr.write(`${program.name}: ${explain(error)}\n`);
    return 1;
  } finally {
    life.abort();
  }
}

/** Says that the program is ready. Resolves when it is told to end, rejects when it cannot do its job. */
async function serveUntil(told: AbortSignal, running: Running, address: string | undefined): Promise<void> {
  const over = Promise.race([aborted(told), failureOf(running)]);
  // It may fail before the metrics are served; that is told afterwards.
  over.catch(() => {});
  const metrics = address === undefined ? undefined : await metricsAt(address, running);
  try {
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
async function metricsAt(address: string, running: Running): ReturnType<typeof Metrics.serveMetrics> {
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
