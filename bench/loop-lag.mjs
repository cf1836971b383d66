// Preloaded into a program (`NODE_OPTIONS=--import`) to measure the delay of its timers. Each SIGUSR2 prints
// `{"event":"loop-lag",…}` for the time since the previous one. The resolution is one millisecond, ten times
// finer than that of `--metrics`.
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 1;
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();

process.on("SIGUSR2", () => {
  // The measured value is the time from one tick to the next.
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
