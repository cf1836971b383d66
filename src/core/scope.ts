import { setMaxListeners } from "node:events";
import type { CancelTimer, Clock } from "./clock.js";
import { Code, NsmError } from "./errors.js";

/** When a piece of work must end. */
export interface ScopeLimits {
  /** Milliseconds since the epoch; undefined without a limit. */
  readonly deadline: number | undefined;
  /** The time the work has from its beginning, in milliseconds. */
  readonly budgetMs: number | undefined;
  /** The scope around it, which ends it too. */
  readonly parent?: Scope | undefined;
  /** One more signal that ends it. */
  readonly also?: AbortSignal | undefined;
}

/** Ends the work that a Context is for, and says how much time it has. */
export interface Scope {
  readonly signal: AbortSignal;
  readonly deadline: number | undefined;
  readonly budgetMs: number | undefined;
}

/**
 * A scope whose signal, listeners and timer are made when the signal is first asked for. Many calls start scopes for
 * work that never waits, such as releasing an address, and a signal costs more than that work.
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

  /** The work is over: nothing aborts the signal any more. */
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
    // A deadline that the parent has too fires there and reaches us through its signal.
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
  return new NsmError(Code.DeadlineExceeded, `not done within ${Math.round(budgetMs)} ms`);
}
