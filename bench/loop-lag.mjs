// Preloaded into a program (`NODE_OPTIONS=--import`): measures how late its timers are. At each SIGUSR2 it prints
// `{"event":"loop-lag",…}` about the time since the one before. Once a millisecond, ten times finer than what
// `--metrics` offers.
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 1;
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();

process.on("SIGUSR2", () => {
  // What is measured is the time from one tick to the next.
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  const lag = {
    event: "loop-lag",
    p50Ms: late(histogram.percentile(50)),
    p99Ms: late(histogram.percentile(99)),
    maxMs: late(histogram.max),
  };
  histogram.reset();
  process.stdout.write(`${JSON.stringify(lag)}\n`);
});
