import { Code, NsmError, type DebugState } from "../core/index.js";
import type { Method, recorder } from "./probes.js";
import { refusedWith, suite } from "./suite.js";
import type { VirtualClock } from "./virtual-clock.js";

/** What every trial of an element checks. */
export interface Trial {
  /** Expects a call to fail as an obstacle failed it. */
  refused(call: Promise<unknown>, code: Code): Promise<void>;
  /** The calls of the element that arrive behind it while `work` runs. */
  arriving(work: () => Promise<void>): Promise<readonly Method[]>;
  /** Waits until everything rests, and expects that nothing is held. */
  nothingHeld(): Promise<void>;
}

/** What a trial looks at. */
interface TrialOptions {
  readonly clock: VirtualClock;
  /** Stands behind the tried element. */
  readonly seen: ReturnType<typeof recorder>;
  readonly wrapsErrors: boolean | undefined;
  leftovers(): DebugState;
}

/** The checks that trials of both kinds of elements have. */
export function trialChecks({ clock, seen, wrapsErrors = false, leftovers }: TrialOptions): Trial {
  const { expect } = suite();
  return {
    refused: (call, code) => refusedWith(call, code, wrapsErrors),
    async arriving(work) {
      const earlier = seen.calls.length;
      await work();
      return seen.calls.slice(earlier);
    },
    async nothingHeld() {
      await clock.settle();
      expect(leftovers(), "what is left behind").toEqual({});
    },
  };
}

/**
 * Runs `check` twice in one program, and expects after each time that nothing is held: what the first round keeps
 * the second one meets.
 */
export async function tryTwice<T extends Trial>(
  trialIn: (until: AbortSignal) => T,
  check: (trial: T) => Promise<void>,
): Promise<void> {
  const program = new AbortController();
  const trial = trialIn(program.signal);
  try {
    for (let round = 1; round <= 2; round++) {
      await check(trial);
      await trial.nothingHeld();
    }
  } finally {
    program.abort();
  }
}

/** Cancels a call that waits downstream, and expects it to fail for that. */
export async function cancelWaiting(
  clock: VirtualClock,
  start: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const caller = new AbortController();
  const call = start(caller.signal);
  // An early rejection must not count as unhandled.
  call.catch(() => {});
  await clock.settle();
  caller.abort(new NsmError(Code.Cancelled, "the caller went away"));
  await suite().expect(call).rejects.toMatchObject({ code: Code.Cancelled });
}
