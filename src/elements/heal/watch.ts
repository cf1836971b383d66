import { currentSegment, pathOf, State, type Connection } from "../../api/index.js";
import { log, type CancelTimer, type ConnectionEvents, type Context, type Link } from "../../core/index.js";
import { Following, type DownCause, type MonitorHub, type Sighting } from "../../outbound/index.js";

/** Tells whether packets still get through a connection. Aborted by the Context's deadline. */
export type LivenessCheck = (ctx: Context, connection: Connection) => Promise<boolean>;

/** How often the data plane is asked, and how long an answer may take. */
export interface LivenessOptions {
  readonly check: LivenessCheck;
  /** Default: 200. */
  readonly intervalMs?: number | undefined;
  /** Default: 1,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * Takes silence for death only after a first answer: for checks that a firewall on the road may swallow. While
   * a connection is being rebuilt silence is death all the same.
   */
  readonly onceAnswered?: boolean | undefined;
}

/** What died. */
export type Loss = "control plane" | "data plane";

/** What a watch looks at. */
export interface WatchOptions {
  readonly ctx: Context;
  readonly hub: MonitorHub;
  readonly liveness: LivenessOptions | undefined;
  /** The cause is that of a lost control plane, where a hop has told it. */
  readonly onLoss: (lost: Answered, loss: Loss, cause?: DownCause) => void;
}

/** A connection as a Request has brought it about. */
export interface Answered {
  readonly connection: Connection;
  readonly link: Link;
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
  // Whether packets have ever passed: a refresh does not make a dead data plane a new one.
  private everAlive = false;
  private cancelTick: CancelTimer | undefined;
  private checking = false;
  private lost = false;
  private over = false;

  constructor(private readonly options: WatchOptions) {}

  /** A Request is under way: what the monitor says meanwhile counts when that has ended. */
  requestBegins(): void {
    this.following?.requestBegins();
  }

  /** A Request was answered: from here on the connection stands. */
  stands(answered: Answered): void {
    if (this.over) return;
    const { connection, link, mark } = answered;
    this.last = answered;
    this.lost = false;
    const { name, id } = currentSegment(connection)!;
    const segment = { index: pathOf(connection).index, name, id };
    if (this.following?.serves(link, segment)) {
      this.following.requestEnds(mark);
    } else {
      this.following?.stop();
      const { ctx, hub } = this.options;
      const onSighting = (sighting: Sighting): void => this.see(sighting);
      this.following = new Following({ ctx, hub, link, segment, mark, onSighting });
    }
    this.scheduleCheck();
  }

  /** A Request failed. That alone says nothing about what stands. */
  requestFails(): void {
    this.following?.requestEnds();
  }

  stop(): void {
    this.over = true;
    this.rest();
  }

  private see({ state, cause }: Sighting): void {
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
