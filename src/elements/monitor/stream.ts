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
import { MAX_CONNECTIONS } from "../../inbound/index.js";
import { downCauseOf, requestMark, type DownCause, type DownReason } from "./marks.js";

/** What a peer says about one connection. */
export interface Observation {
  /** As the peer told it; undefined when the peer told nothing, because it or the connection is gone. */
  readonly connection: Connection | undefined;
  /** DOWN for a deleted connection, and for a peer or a connection that was lost. Never RESELECT_REQUESTED. */
  readonly state: State;
  /** Why it is DOWN; undefined when a peer says so without a reason. */
  readonly cause?: DownCause | undefined;
  /** Which of our Requests the peer had answered when it said so; undefined when that does not show. */
  readonly mark?: string | undefined;
  /** Whether the peer cannot be watched any more: nothing comes after this. */
  readonly lost?: true;
}

/** A segment of our own, by which a peer knows the connection that went through us to it. */
export interface OwnSegment {
  /** Its place on the path. */
  readonly index: number;
  readonly name: string;
  readonly id: string;
}

/** Somebody who wants to hear about one connection. */
export interface Follower {
  readonly segment: OwnSegment;
  readonly see: (observation: Observation) => void;
}

/** What a stream asks for and whom it tells when it is over. */
export interface MonitorStreamOptions {
  readonly ctx: Context;
  readonly remote: Remote;
  /** Our name, and the id of one connection's segment unless all are wanted. */
  readonly name: string;
  readonly id?: string | undefined;
  /** Whether the peer has answered such a stream before. */
  readonly accepted?: boolean;
  /** The stream cannot be had (any more); it does nothing from here on. */
  readonly onLost: (stream: MonitorStream, error: unknown) => void;
}

/**
 * How long a large initial set that does not say where it ends must show nothing of what is missing before that
 * counts as lost.
 */
const QUIET_MS = 5_000;
/** A stream that breaks sooner than this after it was opened anew is not opened again. */
const SHORTEST_LIFE_MS = 1_000;
/** How many events about connections that nobody follows yet are remembered. */
const MAX_EARLY = 1_024;

/** A stream of a peer's connection events, shared by all who follow connections in it. */
export class MonitorStream {
  private readonly followers = new Map<string, { readonly all: Set<Follower>; last?: Observation }>();
  // An event may overtake the answer to the Request that it is about: kept for whoever follows then.
  private readonly early = new Map<string, Observation>();
  // Who followed before the stream was opened and was not in what it showed.
  private missing = new Set<Follower>();
  private subscription = new Subscription();
  // While the rest of a large initial set is awaited.
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

  /** Whether nobody follows anything here. */
  get idle(): boolean {
    return this.followers.size === 0;
  }

  get remembered(): number {
    return this.early.size;
  }

  /** Tells the follower what is known already, then everything that comes. */
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
    // With the last follower goes what was known: whoever follows this id again has made a new connection of it.
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

  /** A large initial set comes in pieces: as long as they come, what is missing may be in the next. */
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
    const told = state === State.DOWN && !deleted ? downCauseOf(connection) : undefined;
    for (const [index, segment] of this.ownSegments(connection)) {
      const { name, id } = segment;
      const cause = deleted ? ({ reason: "closed", hop: name, index } as const) : told;
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
        // A connection deleted that nobody follows any more is one that we closed ourselves.
        this.remember(id, observation);
      }
    }
  }

  /** Ours is the segment before the peer's, or the peer's when it goes by our name. */
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

  /** Tells a follower that its connection is gone, if it still wants to know. */
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

  /** Tells all followers that their connections are gone. */
  loseAll(): void {
    for (const follower of this.following) this.lose(follower, "unreachable", { lost: true });
  }
}

/** Whether asking again is of no use. */
function isFinal(code: Code): boolean {
  return code === Code.PermissionDenied || code === Code.Unimplemented;
}

/** RESELECT_REQUESTED stays in the monitor of a Go peer after a heal that went well. */
function stateOf({ state }: Connection): State {
  return state === State.RESELECT_REQUESTED ? State.UP : state;
}
