import { defer, Subscription } from "rxjs";
import {
  ConnectionEventType,
  MonitorScopeSelector,
  PathSegment,
  pathOf,
  State,
  type Connection,
  type ConnectionEvent,
} from "../../api/index.js";
import { Code, codeOf, type CancelTimer, type Context, type Remote } from "../../core/index.js";
import { MAX_CONNECTIONS } from "../../wire/index.js";
import { downCauseOf, requestMark, type DownCause, type DownReason } from "./marks.js";

/** The state of one connection as a peer reports it. */
export interface Observation {
  /** The connection as the peer reported it. Undefined if the peer or the connection is gone. */
  readonly connection: Connection | undefined;
  /** DOWN for a deleted connection, and for a lost peer or connection. Never RESELECT_REQUESTED. */
  readonly state: State;
  /** Why the connection is DOWN. Undefined if the peer reported no reason. */
  readonly cause?: DownCause | undefined;
  /**
   * The mark of the Request that the peer had answered when it published the event. Undefined if the event has
   * no mark.
   */
  readonly mark?: string | undefined;
  /** Whether the peer is lost. No further observation follows. */
  readonly lost?: true;
}

/** The own segment, which identifies the connection at the peer. */
export interface OwnSegment {
  /** Index of the segment in the path. */
  readonly index: number;
  readonly name: string;
  readonly id: string;
}

/** A subscriber to the observations of one connection. */
export interface Follower {
  readonly segment: OwnSegment;
  readonly see: (observation: Observation) => void;
}

/** Options of {@link MonitorStream}. */
export interface MonitorStreamOptions {
  readonly ctx: Context;
  readonly remote: Remote;
  /** Name of this process in the path. */
  readonly name: string;
  readonly id?: string | undefined;
  /** Whether the peer has accepted such a stream before. */
  readonly accepted?: boolean;
  /** Called when the stream cannot be opened or reopened. The stream does nothing afterwards. */
  readonly onLost: (stream: MonitorStream, error: unknown) => void;
}

/**
 * How long to wait for missing connections of a large initial set without an end marker, in milliseconds. Each
 * arriving connection restarts the time. Connections that are still missing afterwards count as lost.
 */
const QUIET_MS = 5_000;
/** Minimum lifetime of a reopened stream, in milliseconds. A stream that breaks sooner is not reopened. */
const SHORTEST_LIFE_MS = 1_000;
/** Maximum number of stored events for connections without a follower. */
const MAX_EARLY = 1_024;

/** A stream of a peer's connection events, shared by all followers of its connections. */
export class MonitorStream {
  private readonly followers = new Map<string, { readonly all: Set<Follower>; last?: Observation }>();
  // Events that arrive before the answer to their Request, stored for a follower that subscribes later.
  private readonly early = new Map<string, Observation>();
  // Followers whose connections the stream has not shown since it was opened.
  private missing = new Set<Follower>();
  private subscription = new Subscription();
  // Set while waiting for the rest of a large initial set.
  private cancelQuiet: CancelTimer | undefined;
  private progressAt = 0;
  private openedAnew = false;
  private acceptedAt: number | undefined;
  private over = false;
  /** Whether the peer has ever answered with an initial transfer. */
  accepted: boolean;

  constructor(readonly options: MonitorStreamOptions) {
    this.accepted = options.accepted ?? false;
  }

  get following(): readonly Follower[] {
    return [...this.followers.values()].flatMap(({ all }) => [...all]);
  }

  /** Whether the stream has no followers. */
  get idle(): boolean {
    return this.followers.size === 0;
  }

  get remembered(): number {
    return this.early.size;
  }

  /** Publishes the last known observation to the follower, then all later ones. */
  attach(follower: Follower): void {
    const { id } = follower.segment;
    const entry = this.followers.get(id) ?? { all: new Set(), ...this.takeEarly(id) };
    entry.all.add(follower);
    this.followers.set(id, entry);
    if (entry.last) follower.see(entry.last);
  }

  detach(follower: Follower): void {
    const { id } = follower.segment;
    const entry = this.followers.get(id);
    entry?.all.delete(follower);
    this.missing.delete(follower);
    // Forget the last observation with the last follower. A later follower of this id has a new connection.
    if (entry?.all.size === 0) this.followers.delete(id);
  }

  open(): void {
    const { ctx, remote, name, id } = this.options;
    const subscription = new Subscription();
    this.subscription = subscription;
    this.acceptedAt = undefined;
    this.missing = new Set(this.following);
    const selector = MonitorScopeSelector.create({
      pathSegments: [PathSegment.create({ name, id: id ?? "" })],
    });
    subscription.add(
      defer(() => remote.monitor.monitorConnections(ctx, selector)).subscribe({
        next: (event) => this.receive(event),
        error: (error: unknown) => this.ended(error),
        complete: () => this.ended(undefined),
      }),
    );
  }

  close(): void {
    this.over = true;
    this.settled();
    this.subscription.unsubscribe();
    this.early.clear();
  }

  private takeEarly(id: string): { last?: Observation } {
    const last = this.early.get(id);
    this.early.delete(id);
    return last ? { last } : {};
  }

  private receive(event: ConnectionEvent): void {
    const connections = Object.values(event.connections);
    const missing = this.missing.size;
    for (const connection of connections) this.receiveOne(event.type, connection);
    if (this.over) return;
    const { clock } = this.options.ctx;
    if (this.missing.size < missing) this.progressAt = clock.now();
    if (event.type === ConnectionEventType.INITIAL_STATE_TRANSFER) {
      this.accepted = true;
      this.acceptedAt = clock.now();
      if (connections.length < MAX_CONNECTIONS) this.reportMissing();
      else this.awaitRest();
    } else if (connections.length === 0 && this.cancelQuiet) {
      // The end of a large initial set.
      this.reportMissing();
    }
  }

  /** Waits for the rest of a large initial set, which arrives in parts. */
  private awaitRest(): void {
    const { clock } = this.options.ctx;
    this.progressAt = clock.now();
    const wait = (ms: number): void => {
      this.cancelQuiet = clock.after(ms, () => {
        const left = this.progressAt + QUIET_MS - clock.now();
        if (left > 0) wait(left);
        else this.reportMissing();
      });
    };
    this.settled();
    wait(QUIET_MS);
  }

  private settled(): void {
    this.cancelQuiet?.();
    this.cancelQuiet = undefined;
  }

  private receiveOne(type: ConnectionEventType, connection: Connection): void {
    const deleted = type === ConnectionEventType.DELETE;
    const state = deleted ? State.DOWN : stateOf(connection);
    const downCause = state === State.DOWN && !deleted ? downCauseOf(connection) : undefined;
    for (const [index, segment] of this.ownSegments(connection)) {
      const { name, id } = segment;
      const cause = deleted ? ({ reason: "closed", hop: name, index } as const) : downCause;
      const observation: Observation = {
        connection,
        state,
        mark: requestMark(segment),
        ...(cause && { cause }),
      };
      const entry = this.followers.get(id);
      if (entry) {
        entry.last = observation;
        for (const follower of [...entry.all]) {
          if (follower.segment.index !== index) continue;
          this.missing.delete(follower);
          follower.see(observation);
        }
      } else if (!deleted || this.early.has(id)) {
        // A deleted connection without a follower was closed by this process.
        this.remember(id, observation);
      }
    }
  }

  /** The own segment is the one before the peer's, or the peer's segment if it has the own name. */
  private *ownSegments(connection: Connection): Iterable<readonly [index: number, segment: PathSegment]> {
    const { index, pathSegments } = pathOf(connection);
    for (const at of [index - 1, index]) {
      const segment = pathSegments[at];
      if (segment?.name === this.options.name) yield [at, segment];
    }
  }

  private remember(id: string, observation: Observation): void {
    this.early.delete(id);
    this.early.set(id, observation);
    if (this.early.size > MAX_EARLY) this.early.delete(this.early.keys().next().value!);
  }

  private reportMissing(): void {
    this.settled();
    const missing = [...this.missing];
    this.missing.clear();
    for (const follower of missing) this.lose(follower, "unknown", {});
  }

  /** Publishes to a follower that its connection is lost, if it still follows. */
  private lose(follower: Follower, reason: DownReason, more: { lost?: true }): void {
    const { segment } = follower;
    const entry = this.followers.get(segment.id);
    if (!entry?.all.has(follower)) return;
    const cause = { reason, hop: segment.name, index: segment.index };
    entry.last = { connection: undefined, state: State.DOWN, cause, ...more };
    follower.see(entry.last);
  }

  private ended(error: unknown): void {
    if (this.over) return;
    this.settled();
    this.subscription.unsubscribe();
    const now = this.options.ctx.clock.now();
    const lived = this.acceptedAt === undefined ? 0 : now - this.acceptedAt;
    const final = error !== undefined && isFinal(codeOf(error));
    if (!final && (!this.openedAnew || lived >= SHORTEST_LIFE_MS)) {
      this.openedAnew = true;
      this.open();
      return;
    }
    this.over = true;
    this.options.onLost(this, error);
  }

  /** Publishes to all followers that their connections are lost. */
  loseAll(): void {
    for (const follower of this.following) this.lose(follower, "unreachable", { lost: true });
  }
}

/** Whether a retry cannot succeed. */
function isFinal(code: Code): boolean {
  return code === Code.PermissionDenied || code === Code.Unimplemented;
}

/** A Go peer's monitor keeps RESELECT_REQUESTED after a successful heal. */
function stateOf({ state }: Connection): State {
  return state === State.RESELECT_REQUESTED ? State.UP : state;
}
