import { explain } from "../../../core/index.js";
import { checkNames, type CheckName } from "./check-names.js";

/** The result of one check. */
export interface Check {
  readonly name: CheckName;
  readonly ok: boolean;
  readonly ms: number;
  /** What was observed, or why the check failed. */
  readonly detail: string;
}

/** Receives each check when it starts and ends. */
export interface CheckObserver {
  began(name: CheckName): void;
  ended(check: Check): void;
}

/** Performs a check. `report` sets the detail to show on success. */
export type Work<T> = (report: (detail: string) => void) => Promise<T>;

/** Options of the checks. */
export interface ChecksOptions {
  /** Ends the running check with the signal's reason. */
  readonly until: AbortSignal;
  readonly observer: CheckObserver;
}

/** The checks of one run. The first failure ends the run, because later checks depend on earlier ones. */
export class Checks {
  readonly #done: Check[] = [];
  #ending: string | undefined;

  constructor(private readonly options: ChecksOptions) {}

  /** Runs a check and records its result and duration. Rethrows the error of `work`. */
  run<T>(name: CheckName, work: Work<T>): Promise<T> {
    return this.#take(name, (report) => orAborted(this.options.until, () => work(report)));
  }

  /** Like run(), but not ended by `until`. For cleanup. */
  runRegardless<T>(name: CheckName, work: Work<T>): Promise<T> {
    return this.#take(name, work);
  }

  /** Records a check that ran elsewhere. */
  add(check: Check): void {
    this.#done.push(check);
    this.options.observer.ended(check);
  }

  /** Records why the run ended, for the case that no check failed. */
  endedBy(error: unknown): void {
    this.#ending ??= explain(error);
  }

  /** The completed checks, in the order they ended. */
  get tried(): readonly Check[] {
    return this.#done;
  }

  /** The checks that never ran. */
  get untried(): readonly CheckName[] {
    return checkNames.filter((name) => !this.#done.some((check) => check.name === name));
  }

  /** Why some checks never ran. */
  get reason(): string {
    const failed = this.#done.find(({ ok }) => !ok);
    return failed ? `"${failed.name}" failed` : (this.#ending ?? "the demo has ended");
  }

  /** All checks. Those that never ran count as failed. */
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

/** Milliseconds since a performance.now() value, rounded to a tenth. */
export function roundedMs(began: number): number {
  return Math.round((performance.now() - began) * 10) / 10;
}

/** Resolves with the result of `work`. Rejects with the signal's reason if that comes first. */
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
