import { currentSegment, pathOf, State, type Connection } from "../../api/index.js";
import { log, type CancelTimer, type ConnectionEvents, type Context, type Remote } from "../../core/index.js";
import { Following, type DownCause, type MonitorHub, type Observation } from "../monitor/index.js";

/** Checks whether packets still pass through a connection. Ends with the Context's deadline. */
export type LivenessCheck = (ctx: Context, connection: Connection) => Promise<boolean>;

/** How to check the data plane. */
export interface LivenessOptions {
  readonly check: LivenessCheck;
  /** Pause between checks, in milliseconds. Default: 200. */
  readonly intervalMs?: number | undefined;
  /** How long a check may take, in milliseconds. Default: 1,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether failed checks count only after the first one that succeeded: for checks that a firewall may drop. While
   * a connection is being rebuilt, every failed check counts. Default: false.
   */
  readonly onceAnswered?: boolean | undefined;
}

/** Which plane noticed the loss. */
export type Loss = "control plane" | "data plane";

/** What a watch looks at. */
export interface WatchOptions {
  readonly ctx: Context;
  readonly hub: MonitorHub;
  readonly liveness: LivenessOptions | undefined;
  /** The cause of a lost control plane, if a hop reported one. */
  readonly onLoss: (lost: Answered, loss: Loss, cause?: DownCause) => void;
}

/** A connection as a Request answered it. */
export interface Answered {
  readonly connection: Connection;
  readonly remote: Remote;
  readonly events: ConnectionEvents;
  /** The mark of that Request. */
  readonly mark: string | undefined;
}

/**
 * Looks after one connection over all its Requests: by the next hop's monitor, and by packets where there is a
 * liveness check. Reports a loss once, and watches again from the next good Request on.
 */
export class Watch {
  private following: Following | undefined;
  private last: Answered | undefined;
  // Whether packets have ever passed. Kept over refreshes, because they do not repair a data plane.
  private everAlive = false;
  private cancelTick: CancelTimer | undefined;
  private checking = false;
  private lost = false;
  private over = false;

  constructor(private readonly options: WatchOptions) {}

  /** A Request is under way: the events of the monitor wait until it has ended. */
  requestBegins(): void {
    this.following?.requestBegins();
  }

  /** A Request was answered: from here on the connection stands. */
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

  /** A Request failed. The connection may stand all the same. */
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

/** One liveness check within its time. False if it throws or does not answer. */
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
