import type { Subscription } from "rxjs";
import { pathOf, State, type Connection } from "../../api/index.js";
import { log, type CancelTimer, type Context, type Link } from "../../core/index.js";
import type { MonitorHub } from "../../outbound/index.js";

/** Tells whether packets still get through a connection. Aborted by the Context's deadline. */
export type LivenessCheck = (ctx: Context, connection: Connection) => Promise<boolean>;

/** How often the data plane is asked, and how long an answer may take. */
export interface LivenessOptions {
  readonly check: LivenessCheck;
  /** 200 when left out. */
  readonly intervalMs?: number;
  /** 1,000 when left out. */
  readonly timeoutMs?: number;
  /**
   * Takes silence for death only after a first answer: for checks that a firewall on the road may swallow. While
   * a connection is being rebuilt silence is death all the same.
   */
  readonly onceAnswered?: boolean;
}

/** What died. */
export type Loss = "control plane" | "data plane";

/** What a watch looks at. */
export interface WatchOptions {
  readonly ctx: Context;
  readonly connection: Connection;
  readonly link: Link;
  readonly hub: MonitorHub;
  readonly liveness: LivenessOptions | undefined;
  readonly onLoss: (loss: Loss) => void;
}

/**
 * Looks after one connection from the moment it is made: by the next hop's monitor, and by packets where there
 * is a liveness check. Reports the first loss and is over then.
 */
export class Watch {
  private over = false;
  private answered = false;
  private subscription: Subscription | undefined;
  private cancelTick: CancelTimer | undefined;

  constructor(private readonly options: WatchOptions) {}

  start(): void {
    const { ctx, connection, link, hub, liveness } = this.options;
    const { index, pathSegments } = pathOf(connection);
    const { name, id } = pathSegments[index]!;
    this.subscription = hub.follow(ctx, link, { index, name, id }).subscribe(({ state }) => {
      if (state === State.DOWN) this.lose("control plane");
    });
    // The hub may have known of the loss already, and told us before there was anything to unsubscribe.
    if (this.over) this.subscription.unsubscribe();
    else if (liveness) this.scheduleCheck(liveness);
  }

  /** Whether it was stopped or has reported its loss. */
  get isOver(): boolean {
    return this.over;
  }

  stop(): void {
    this.over = true;
    this.subscription?.unsubscribe();
    this.cancelTick?.();
  }

  private lose(loss: Loss): void {
    if (this.over) return;
    this.stop();
    this.options.onLoss(loss);
  }

  private scheduleCheck(liveness: LivenessOptions): void {
    const { ctx, connection } = this.options;
    this.cancelTick = ctx.clock.after(liveness.intervalMs ?? 200, () => {
      void isAlive(ctx, liveness, connection).then((alive) => {
        if (this.over) return;
        this.answered ||= alive;
        if (alive || (liveness.onceAnswered && !this.answered)) this.scheduleCheck(liveness);
        else this.lose("data plane");
      });
    });
  }
}

/** One liveness check within its time; a check that fails or does not answer says the data plane is dead. */
export async function isAlive(
  ctx: Context,
  { check, timeoutMs = 1_000 }: LivenessOptions,
  connection: Connection,
): Promise<boolean> {
  try {
    return await ctx.withTimeout(timeoutMs, (c) => check(c, connection));
  } catch (error) {
    log(ctx).debug({ err: error, connection: connection.id }, "liveness check failed");
    return false;
  }
}
