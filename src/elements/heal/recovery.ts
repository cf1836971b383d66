import type { Observable } from "rxjs";
import { pathOf, type Connection } from "../../api/index.js";
import {
  Code,
  codeOf,
  explain,
  isRefusal,
  log,
  sleep,
  type ConnectionEvents,
  type Context,
  type Remote,
} from "../../core/index.js";
import type { DownCause } from "../monitor/index.js";
import type { HealBudget } from "./budget.js";
import { whyUnreachable } from "./next-hop.js";
import { Patience } from "./patience.js";
import { isAlive, type LivenessOptions, type Loss } from "./watch.js";

/** Options of recover(). */
export interface RecoveryOptions {
  readonly connection: Connection;
  readonly remote: Remote;
  readonly events: ConnectionEvents;
  readonly loss: Loss;
  readonly cause: DownCause | undefined;
  readonly budget: HealBudget;
  readonly liveness: LivenessOptions | undefined;
  readonly wake: ((connection: Connection) => Observable<unknown>) | undefined;
  readonly keepEndpointMs: number;
  /** Delay before the first try, in milliseconds. */
  readonly firstWaitMs: number;
  readonly nextWait: () => number;
  /** Called with each failure that the recovery waits after. */
  readonly onFailure: (error: unknown) => void;
  /** Aborts when another Request has established the connection again. */
  readonly stopped: AbortSignal;
}

/** Retries until the connection is established again or closed, or `ctx` (the program) ends. */
export function recover(ctx: Context, options: RecoveryOptions): Promise<void> {
  return ctx.withSignal(options.events.closed, (open) =>
    open.withSignal(options.stopped, (wanted) => new Recovery(wanted, options).run()),
  );
}

/** The next step of a recovery. */
type Move = "ask again" | "let go" | "wait";

class Recovery {
  private readonly patience: Patience;
  /** Whether a reselect has started. It closed the connection, so its endpoint cannot be kept any more. */
  private letGo = false;
  private exhausted = false;
  /** Whether packets pass; undefined without a liveness check. */
  private alive: boolean | undefined;
  private reachable: boolean;
  /** Why the next hop did not answer. */
  private silence: unknown;
  /** The reason of the last failure. */
  private reason: string | undefined;

  constructor(
    private readonly ctx: Context,
    private readonly options: RecoveryOptions,
  ) {
    const { connection, cause, keepEndpointMs } = options;
    this.patience = new Patience({ connection, cause, keepEndpointMs, clock: ctx.clock });
    this.reachable = !(cause?.reason === "unreachable" && cause.index === pathOf(connection).index);
  }

  async run(): Promise<void> {
    const { signal } = this.ctx;
    const { events, firstWaitMs, nextWait } = this.options;
    if (firstWaitMs > 0) await this.pause(firstWaitMs);
    for (let first = true; !signal.aborted; first = false) {
      const move = await this.nextMove(first);
      if (signal.aborted) return;
      try {
        if (move !== "wait") {
          this.letGo = move === "let go";
          await this.turn();
          await events.request({ signal, cause: "heal", reselect: this.letGo });
          return;
        }
        this.isTimeToLetGo(Code.Unavailable);
        this.failed(this.silence);
      } catch (error) {
        if (signal.aborted) return;
        this.logFailure(error);
        if (await this.isEnough(codeOf(error))) continue;
        this.failed(error);
      }
      await this.pause(nextWait());
    }
  }

  /**
   * Selects the next step. Closes nothing before the next hop has answered, because only the next hop leads to
   * another endpoint.
   */
  private async nextMove(first: boolean): Promise<Move> {
    const { connection, liveness, loss } = this.options;
    if (this.letGo) return "let go";
    if (!this.reachable && !(await this.reaches())) return "wait";
    if (first && loss === "data plane") this.alive = false;
    else if (liveness && !this.exhausted) this.alive = await isAlive(this.ctx, liveness, connection);
    if (this.alive !== false && !this.exhausted) return "ask again";
    return (await this.reaches()) ? "let go" : "wait";
  }

  private async reaches(): Promise<boolean> {
    const { remote, connection } = this.options;
    this.silence = await whyUnreachable(this.ctx, remote, connection);
    return (this.reachable = this.silence === undefined);
  }

  /** Whether the failed try was the last one for this endpoint. */
  private async isEnough(code: Code): Promise<boolean> {
    if (this.letGo) return false;
    if (!isRefusal(code)) await this.reaches();
    return this.isTimeToLetGo(code);
  }

  private isTimeToLetGo(code: Code): boolean {
    const { alive, reachable } = this;
    this.exhausted ||= this.patience.isOver({ code, alive, reachable });
    return this.exhausted;
  }

  /** The next try waits. */
  private failed(error: unknown): void {
    if (this.ctx.signal.aborted) return;
    this.logFailure(error);
    this.options.onFailure(error);
  }

  /** Logs why a try failed. A repeated reason is logged only once. */
  private logFailure(error: unknown): void {
    const reason = explain(error);
    if (reason === this.reason) return;
    this.reason = reason;
    log(this.ctx).info(
      { connection: this.options.connection.id, error: reason },
      "healing failed, will retry",
    );
  }

  private async turn(): Promise<void> {
    const { clock, signal } = this.ctx;
    const waitMs = this.options.budget.take(clock);
    if (waitMs > 0) await sleep(clock, waitMs, signal);
  }

  /** Waits until the delay ends or `wake` emits. */
  private async pause(ms: number): Promise<void> {
    const { ctx } = this;
    const { connection, wake } = this.options;
    const woken = new AbortController();
    const wakeUp = (): void => woken.abort();
    // An error of the stream also ends the delay.
    const subscription = wake?.(connection).subscribe({ next: wakeUp, error: wakeUp });
    try {
      await ctx.withSignal(woken.signal, (c) => sleep(ctx.clock, ms, c.signal));
    } catch {
      // Woken or aborted. run() checks which.
    } finally {
      subscription?.unsubscribe();
    }
  }
}
