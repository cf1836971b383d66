import type { CancelTimer, Clock, Remotes } from "../../core/index.js";

/** One run of a process. It ends, with all its timers, when the process is killed. */
export interface Process {
  readonly name: string;
  readonly until: AbortSignal;
  readonly clock: Clock;
  readonly remotes: Remotes;
}

/** A process together with the function that kills it. */
export interface KillableProcess extends Process {
  end(): void;
}

/** Starts a run of a process. */
export function createProcess(
  name: string,
  transport: { readonly clock: Clock; remotes(name: string): Remotes },
): KillableProcess {
  const controller = new AbortController();
  const { clock, cancelAll } = cancelableClock(transport.clock);
  const remotes = transport.remotes(name);
  return {
    name,
    until: controller.signal,
    clock,
    remotes,
    end() {
      controller.abort();
      remotes.close();
      cancelAll();
    },
  };
}

/** A process's view of the clock. Its timers end with the process. */
function cancelableClock(clock: Clock): { readonly clock: Clock; cancelAll(): void } {
  const armed = new Set<CancelTimer>();
  let dead = false;
  return {
    clock: {
      now: () => clock.now(),
      after(ms, callback) {
        if (dead) return () => {};
        const stop = clock.after(ms, () => {
          armed.delete(cancel);
          callback();
        });
        const cancel = (): void => {
          armed.delete(cancel);
          stop();
        };
        armed.add(cancel);
        return cancel;
      },
    },
    cancelAll() {
      dead = true;
      for (const cancel of armed) cancel();
    },
  };
}
