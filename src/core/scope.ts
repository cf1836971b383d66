import { setMaxListeners } from "node:events";
import type { CancelTimer, Clock } from "./clock.js";
import { Code, NsmError } from "./errors.js";

/** When a piece of work must end. */
export interface ScopeLimits {
  /** Milliseconds since the epoch; undefined without a limit. */
  readonly deadline: number | undefined;
  /** The time limit of the work when it began, in milliseconds. */
  readonly budgetMs: number | undefined;
  /** The enclosing scope. Its end also ends this scope. */
  readonly parent?: Scope | undefined;
  /** Another signal that ends it. */
  readonly also?: AbortSignal | undefined;
}

/** The lifetime of the work that a Context belongs to, and its time limit. */
export interface Scope {
  readonly signal: AbortSignal;
  readonly deadline: number | undefined;
  readonly budgetMs: number | undefined;
}

/**
 * A scope that creates its signal, listeners and timer on the first use of the signal. Many calls start scopes
 * for work that never waits, such as releasing an address. A signal costs more than that work.
 */
export class WorkScope implements Scope {
  private controller: AbortController | undefined;
  private disarm: (() => void) | undefined;
  private over = false;

  constructor(
    private readonly clock: Clock,
    private readonly limits: ScopeLimits,
  ) {}

  get deadline(): number | undefined {
    return this.limits.deadline;
  }

  get budgetMs(): number | undefined {
    return this.limits.budgetMs;
  }

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      setMaxListeners(0, this.controller.signal);
      if (!this.over) this.disarm = this.arm(this.controller);
    }
    return this.controller.signal;
  }

  /** Ends the scope. Nothing aborts the signal afterwards. */
  end(): void {
    this.over = true;
    this.disarm?.();
    this.disarm = undefined;
  }

  private arm(controller: AbortController): () => void {
    const { deadline, budgetMs, parent, also } = this.limits;
    const undo: CancelTimer[] = [];
    for (const signal of [also, parent?.signal]) {
      if (!signal) continue;
      const abort = (): void => controller.abort(signal.reason);
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      undo.push(() => signal.removeEventListener("abort", abort));
    }
    // If the parent has the same deadline, the parent's timer fires and its signal reaches this scope.
    if (deadline !== undefined && deadline !== parent?.deadline) {
      const late = (): void => controller.abort(deadlineExceeded(budgetMs!));
      const leftMs = deadline - this.clock.now();
      if (leftMs <= 0) late();
      else undo.push(this.clock.after(leftMs, late));
    }
    return () => undo.forEach((step) => step());
  }
}

function deadlineExceeded(budgetMs: number): NsmError {
  return new NsmError(Code.DeadlineExceeded, `not finished within ${Math.round(budgetMs)} ms`);
}
