import { setMaxListeners } from "node:events";
import { systemClock, type Clock } from "./clock.js";
import { WorkScope, type Scope, type ScopeLimits } from "./scope.js";

/**
 * The key of a value in a Context. Keys are compared by identity. Declare a key beside the element that sets
 * it, and export it from there.
 */
export class ContextKey<T> {
  // Only for the type checker: `ContextKey<string>` is not assignable to `ContextKey<number>`.
  declare readonly valueType: T;

  constructor(readonly name: string) {}
}

/** Time limit for detached work if the call has no time limit of its own. */
const DEFAULT_DETACHED_BUDGET_MS = 15_000;

/** Options of a root Context. */
export interface ContextOptions {
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * The context of one call: its deadline, its cancellation signal, the clock, and values under typed keys. A
 * Context is immutable and always passed as an argument.
 *
 * @example
 * import { Context } from "nsm-sdk";
 * import { remoteUrl } from "nsm-sdk/core";
 *
 * const ctx = Context.background();
 * await ctx.with(remoteUrl, url).withTimeout(5_000, (c) => next.request(c, request));
 */
export class Context {
  private constructor(
    private readonly scope: Scope,
    readonly clock: Clock,
    private readonly parent: Context | undefined,
    private readonly key: ContextKey<unknown> | undefined,
    private readonly value: unknown,
  ) {}

  /** Creates a root Context, for calls that start in a program, a test or an event. */
  static background({ signal, clock = systemClock }: ContextOptions = {}): Context {
    const root = signal ?? new AbortController().signal;
    // A root signal outlives thousands of calls, and each call listens to it for a while.
    setMaxListeners(0, root);
    const scope = { signal: root, deadline: undefined, budgetMs: undefined };
    return new Context(scope, clock, undefined, undefined, undefined);
  }

  /** Aborts with the reason when the call is canceled or its deadline expires. */
  get signal(): AbortSignal {
    return this.scope.signal;
  }

  /** Milliseconds since the epoch, by `clock`; undefined if the call has no deadline. */
  get deadline(): number | undefined {
    return this.scope.deadline;
  }

  /** The time limit of the call when it began, in milliseconds. */
  get budgetMs(): number | undefined {
    return this.scope.budgetMs;
  }

  /** The value under the key, or undefined if it is not set. */
  get<T>(key: ContextKey<T>): T | undefined {
    return this.key === key ? (this.value as T | undefined) : this.parent?.get(key);
  }

  /** Returns this Context with one more value. `undefined` hides an earlier value. */
  with<T>(key: ContextKey<T>, value: T | undefined): Context {
    return new Context(this.scope, this.clock, this, key, value);
  }

  /** Milliseconds until the deadline, possibly negative; undefined without one. */
  get remainingMs(): number | undefined {
    return this.deadline === undefined ? undefined : this.deadline - this.clock.now();
  }

  /** Throws the reason if the call is canceled or its deadline has expired. */
  throwIfDone(): void {
    if (this.signal.aborted) throw this.signal.reason as Error;
  }

  /**
   * Runs `work` in a Context that ends after `ms` milliseconds at the latest. Its signal then aborts with
   * DEADLINE_EXCEEDED. The timer and the listener are removed when `work` settles.
   */
  withTimeout<R>(ms: number, work: (ctx: Context) => Promise<R>): Promise<R> {
    const now = this.clock.now();
    const deadline = Math.min(now + ms, this.deadline ?? Infinity);
    return this.scoped({ deadline, budgetMs: deadline - now, parent: this.scope }, work);
  }

  /** Runs `work` in a Context that also ends when `signal` aborts, with that signal's reason. */
  withSignal<R>(signal: AbortSignal, work: (ctx: Context) => Promise<R>): Promise<R> {
    const { deadline, budgetMs, scope: parent } = this;
    return this.scoped({ deadline, budgetMs, parent, also: signal }, work);
  }

  /**
   * Runs `work` with the same values but its own lifetime: for cleanup after the caller has canceled. Default
   * time limit: the time limit of the caller when it began, or 15 s if the caller has none.
   */
  detached<R>(work: (ctx: Context) => Promise<R>, timeoutMs?: number): Promise<R> {
    const budgetMs = timeoutMs ?? this.budgetMs ?? DEFAULT_DETACHED_BUDGET_MS;
    return this.scoped({ deadline: this.clock.now() + budgetMs, budgetMs }, work);
  }

  private async scoped<R>(limits: ScopeLimits, work: (ctx: Context) => Promise<R>): Promise<R> {
    const scope = new WorkScope(this.clock, limits);
    try {
      return await work(new Context(scope, this.clock, this, undefined, undefined));
    } finally {
      scope.end();
    }
  }
}
