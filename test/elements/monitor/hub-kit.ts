import { Observable, Subject, type Subscription } from "rxjs";
import { afterEach, beforeEach, expect } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  Path,
  PathSegment,
  State,
  type MonitorScopeSelector,
} from "../../../src/api/index.js";
import { Code, Context, NsmError, type Remote } from "../../../src/core/index.js";
import { monitorHub, type MonitorHub, type Observation } from "../../../src/elements/monitor/index.js";
import { virtualClock, type VirtualClock } from "../../../src/testing/index.js";

export const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;

export const unavailable = new NsmError(Code.Unavailable, "the server is gone");

export const denied = new NsmError(Code.PermissionDenied, "not for you");

/** A next hop that has only a monitor. */
export class FakePeer {
  readonly streams: { readonly selector: MonitorScopeSelector; readonly events: Subject<ConnectionEvent> }[] =
    [];
  /** The failures of the next subscriptions. */
  refusals: NsmError[] = [];
  /** Number of open streams. */
  open = 0;

  readonly remote = {
    url: "tcp://peer:5001",
    monitor: {
      monitorConnections: (_ctx: Context, selector: MonitorScopeSelector) =>
        new Observable<ConnectionEvent>((subscriber) => {
          const events = new Subject<ConnectionEvent>();
          this.streams.push({ selector, events });
          this.open++;
          events.subscribe(subscriber);
          const refusal = this.refusals.shift();
          if (refusal) subscriber.error(refusal);
          return () => void this.open--;
        }),
    },
  } as unknown as Remote;

  /** Publishes to the newest stream. */
  publish(type: ConnectionEventType, ...connections: Connection[]): void {
    const byId = Object.fromEntries(connections.map((connection) => [connection.id, connection]));
    this.streams.at(-1)!.events.next(ConnectionEvent.create({ type, connections: byId }));
  }

  get selectors(): unknown[] {
    return this.streams.map(({ selector }) => selector.pathSegments.map(({ name, id }) => ({ name, id })));
  }
}

/** The states of the next hop. */
export const [unknown, unreachable, closed] = (["unknown", "unreachable", "closed"] as const).map(
  (reason) => ({
    reason,
    hop: "hop",
    index: 1,
  }),
);

/** The peer's connection with the own segment `id`. */
export function peerConnection(id: string, state = State.UP): Connection {
  return Connection.create({
    id: `peer-of-${id}`,
    state,
    path: Path.create({
      index: 2,
      pathSegments: [
        PathSegment.create({ name: "client", id: `client-of-${id}` }),
        PathSegment.create({ name: "hop", id }),
        PathSegment.create({ name: "peer", id: `peer-of-${id}` }),
      ],
    }),
  });
}

// Fresh fixtures for each test of the file that imports this one.
export let clock: VirtualClock;
export let program: AbortController;
export let ctx: Context;
export let peer: FakePeer;
export let subscriptions: Subscription[];

beforeEach(() => {
  clock = virtualClock();
  program = new AbortController();
  ctx = Context.background({ clock });
  peer = new FakePeer();
  subscriptions = [];
});

export function hubOf(scope: "segment" | "connection"): MonitorHub {
  const hub = monitorHub({ scope, until: program.signal });
  hubs.push(hub);
  return hub;
}

export const hubs: MonitorHub[] = [];

afterEach(() => {
  for (const subscription of subscriptions) subscription.unsubscribe();
  expect(hubs.map((hub) => hub.debugState())).toEqual(
    hubs.map(() => ({ peers: 0, streams: 0, following: 0, early: 0 })),
  );
  hubs.length = 0;
  expect(peer.open).toBe(0);
  expect(clock.timers).toBe(0);
});

/** Follows `id` and collects the observations. */
export function follow(
  hub: MonitorHub,
  id: string,
  remote = peer.remote,
  context = ctx,
): { seen: Observation[]; states: State[]; stop(): void } {
  const seen: Observation[] = [];
  const subscription = hub.follow(context, remote, { index: 1, name: "hop", id }).subscribe({
    next: (observation) => seen.push(observation),
    error: () => expect.fail("a hub never fails"),
    complete: () => expect.fail("a hub never completes"),
  });
  subscriptions.push(subscription);
  return {
    seen,
    get states() {
      return seen.map(({ state }) => state);
    },
    stop: () => subscription.unsubscribe(),
  };
}
