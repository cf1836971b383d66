import { currentSegment, pathOf, State, type Connection } from "../../api/index.js";
import { log, type CancelTimer, type ConnectionEvents, type Context, type Remote } from "../../core/index.js";
import type { DownCause, MonitorHub, Observation } from "../monitor/index.js";
import { Following } from "../monitor/following.js";

/** Checks whether packets pass through a connection. Must end by the deadline of the Context. */
export type LivenessCheck = (ctx: Context, connection: Connection) => Promise<boolean>;

/** Options of the data plane check. */
export interface LivenessOptions {
  readonly check: LivenessCheck;
  /** Delay between checks, in milliseconds. Default: 200. */
  readonly intervalMs?: number | undefined;
  /** Time limit of a check, in milliseconds. Default: 1,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether failed checks count only after the first successful one, for checks that a firewall may drop.
   * During a recovery, every failed check counts. Default: false.
   */
  readonly onceAnswered?: boolean | undefined;
}

/** The plane that detected the loss. */
export type Loss = "control plane" | "data plane";

/** Options of {@link Watch}. */
export interface WatchOptions {
  readonly ctx: Context;
  readonly hub: MonitorHub;
  readonly liveness: LivenessOptions | undefined;
  /** Called once per loss. `cause` is set if a hop reported it. */
  readonly onLoss: (lost: Answered, loss: Loss, cause?: DownCause) => void;
}

/** The answer to a Request, with its remote and events. */
export interface Answered {
  readonly connection: Connection;
  readonly remote: Remote;
  readonly events: ConnectionEvents;
  /** The mark of that Request. */
  readonly mark: string | undefined;
}

/**
 * Watches one connection across all its Requests: by the monitor of the next hop, and by packets if there is a
 * liveness check. Reports a loss once, and resumes with the next successful Request.
 */
export class Watch {
  private following: Following | undefined;
  private last: Answered | undefined;
  // Whether packets have ever passed. Kept across refreshes, because a refresh does not repair the data plane.
  private everAlive = false;
  private cancelTick: CancelTimer | undefined;
  private checking = false;
  private lost = false;
  private over = false;

  constructor(private readonly options: WatchOptions) {}

  /** A Request started. Monitor events wait until it ends. */
  requestBegins(): void {
    this.following?.requestBegins();
  }

  /** A Request succeeded: the connection is established. */
  stands(answered: Answered): void {
    if (this.over) return;
    const { connection, remote, mark } = answered;
    this.last = answered;
    this.lost = false;
    const { name, id } = currentSegment(connection)!;
    const segment = { index: pathOf(connection).index, name, id };
    if (this.following?.serves(remote, segment)) {
      this.following.requestEnds(mark);
    } else {
      this.following?.stop();
      const { ctx, hub } = this.options;
      const onObservation = (observation: Observation): void => this.see(observation);
      this.following = new Following({ ctx, hub, remote, segment, mark, onObservation });
    }
    this.scheduleCheck();
  }

  /** A Request failed. The connection may still be established. */
  requestFails(): void {
    this.following?.requestEnds();
  }

  stop(): void {
    this.over = true;
    this.rest();
  }

  private see({ state, cause }: Observation): void {
    if (state === State.DOWN) this.lose("control plane", cause);
  }

  private lose(loss: Loss, cause?: DownCause): void {
    if (this.over || this.lost) return;
    this.lost = true;
    this.rest();
    this.options.onLoss(this.last!, loss, cause);
  }

  private rest(): void {
    this.following?.stop();
    this.following = undefined;
    this.cancelTick?.();
    this.cancelTick = undefined;
  }

  private scheduleCheck(): void {
    const { ctx, liveness } = this.options;
    if (!liveness || this.lost || this.over || this.checking || this.cancelTick) return;
    this.cancelTick = ctx.clock.after(liveness.intervalMs ?? 200, () => {
      this.cancelTick = undefined;
      void this.check(liveness);
    });
  }

  private async check(liveness: LivenessOptions): Promise<void> {
    this.checking = true;
    const alive = await isAlive(this.options.ctx, liveness, this.last!.connection);
    this.checking = false;
    if (this.over || this.lost) return;
    this.everAlive ||= alive;
    if (!alive && (this.everAlive || !liveness.onceAnswered)) this.lose("data plane");
    else this.scheduleCheck();
  }
}

/** Runs one liveness check within its time limit. Returns false if it throws or times out. */
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
