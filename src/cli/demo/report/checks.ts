import { explain } from "../../../core/index.js";
import { checkNames, type CheckName } from "./check-names.js";

/** One thing that was tried, and what came of it. */
export interface Check {
  readonly name: CheckName;
  readonly ok: boolean;
  readonly ms: number;
  /** What was seen, or why it failed. */
  readonly detail: string;
}

/** Who is told of checks as they go. */
export interface CheckObserver {
  began(name: CheckName): void;
  ended(check: Check): void;
}

/** Does the work of one check; `say` gives the detail to show when it was good. */
export type Work<T> = (say: (detail: string) => void) => Promise<T>;

/** What checks are made of. */
export interface ChecksOptions {
  /** Ends the check that is running, with the signal's reason. */
  readonly until: AbortSignal;
  readonly observer: CheckObserver;
}

/** The checks of one run. The first that fails ends it: those behind it rest on what it should have made. */
export class Checks {
  readonly #done: Check[] = [];
  #ending: string | undefined;

  constructor(private readonly options: ChecksOptions) {}

  /** Runs a check and takes its time. Throws what `work` threw, after taking it down. */
  run<T>(name: CheckName, work: Work<T>): Promise<T> {
    return this.#take(name, (say) => orAborted(this.options.until, () => work(say)));
  }

  /** As run(), but to its end whatever happens: for cleaning up. */
  runRegardless<T>(name: CheckName, work: Work<T>): Promise<T> {
    return this.#take(name, work);
  }

  /** Takes down what was tried elsewhere. */
  add(check: Check): void {
    this.#done.push(check);
    this.options.observer.ended(check);
  }

  /** Tells what ended the run, in case no check failed. */
  endedBy(error: unknown): void {
    this.#ending ??= explain(error);
  }

  /** Those that were run, in the order they ended. */
  get tried(): readonly Check[] {
    return this.#done;
  }

  /** Those of the plan that were never reached. */
  get untried(): readonly CheckName[] {
    return checkNames.filter((name) => !this.#done.some((check) => check.name === name));
  }

  /** Why there are such. */
  get reason(): string {
    const failed = this.#done.find(({ ok }) => !ok);
    return failed ? `"${failed.name}" failed` : (this.#ending ?? "the demo has ended");
  }

  /** Every check of the plan; those that were never reached count as failed. */
  all(): readonly Check[] {
    const detail = `not run: ${this.reason}`;
    return checkNames.map(
      (name) => this.#done.find((check) => check.name === name) ?? { name, ok: false, ms: 0, detail },
    );
  }

  async #take<T>(name: CheckName, work: Work<T>): Promise<T> {
    const { observer } = this.options;
    const began = performance.now();
    let detail = "";
    let ok = false;
    observer.began(name);
    try {
      const result = await work((text) => (detail = text));
      ok = true;
      return result;
    } catch (error) {
      detail = explain(error);
      throw error;
    } finally {
      this.add({ name, ok, ms: roundedMs(began), detail });
    }
  }
}

/** Milliseconds since a moment of performance.now(), to a tenth. */
export function roundedMs(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10;
}

/** The outcome of `work`, or the signal's reason when that comes first. */
async function orAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
