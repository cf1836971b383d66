import { setMaxListeners } from "node:events";
import { systemClock, type Clock } from "./clock.js";
import { WorkScope, type Scope, type ScopeLimits } from "./scope.js";

/**
 * The name under which a value travels in a Context. Compared by identity: declare it beside the element that
 * sets it and export it from there.
 */
export class ContextKey<T> {
  // Only for the type checker: a key of strings is not a key of numbers.
  declare readonly valueType: T;

  constructor(readonly name: string) {}
}

/** How long work may take that must be done although nobody waits for it any more. */
const DEFAULT_DETACHED_BUDGET_MS = 15_000;

/** What a root Context starts from. */
export interface ContextOptions {
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/**
 * What one call carries beside its argument: when it must end, whether it was cancelled, the clock, and values
 * under typed keys. Immutable; passed as an argument, never hidden.
 *
 * @example
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

  /** A Context that belongs to no call: the root of a program's, a test's or an event's calls. */
  static background({ signal, clock = systemClock }: ContextOptions = {}): Context {
    const root = signal ?? new AbortController().signal;
    // A root signal outlives thousands of calls that each listen for a while.
    setMaxListeners(0, root);
    const scope = { signal: root, deadline: undefined, budgetMs: undefined };
    return new Context(scope, clock, undefined, undefined, undefined);
  }

  /** Aborts when the call was cancelled or its time is over, with the reason. */
  get signal(): AbortSignal {
    return this.scope.signal;
  }

  /** Milliseconds since the epoch, by `clock`; undefined when the call may take for ever. */
  get deadline(): number | undefined {
    return this.scope.deadline;
  }

  /** The time the call had when it began, in milliseconds. */
  get budgetMs(): number | undefined {
    return this.scope.budgetMs;
  }

  /** The value under the key, or undefined when nobody has set it. */
  get<T>(key: ContextKey<T>): T | undefined {
    return this.key === key ? (this.value as T | undefined) : this.parent?.get(key);
  }

  /** The same Context with one more value; `undefined` hides an earlier one. */
  with<T>(key: ContextKey<T>, value: T | undefined): Context {
    return new Context(this.scope, this.clock, this, key, value);
  }

  /** Milliseconds until the deadline, possibly negative; undefined without one. */
  get remainingMs(): number | undefined {
    return this.deadline === undefined ? undefined : this.deadline - this.clock.now();
  }

  /** Throws the reason when the call was cancelled or its time is over. */
  throwIfDone(): void {
    if (this.signal.aborted) throw this.signal.reason as Error;
  }

  /**
   * Runs `work` in a Context that ends after `ms` milliseconds at the latest: its signal aborts with
   * DEADLINE_EXCEEDED. Timer and listener are gone when the work ends, which is why this takes a callback.
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
   * Runs `work` with the same values but a life of its own: for undoing things after a cancel. It has as much
   * time as the caller had when it began, 15 s when that was unlimited.
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
