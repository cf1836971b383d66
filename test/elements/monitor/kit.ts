import {
  ConnectionEventType,
  MonitorScopeSelector,
  PathSegment,
  type ConnectionEvent,
} from "../../../src/api/index.js";
import { Context, type MonitorConnection, type NetworkServiceElement } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { monitor, type MonitorOptions } from "../../../src/elements/monitor/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { run, type Run } from "../../../src/testing/index.js";

export const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;

export type Monitored = Run & { service: MonitorConnection };

export function monitored(
  behind: NetworkServiceElement[] = [],
  options: Partial<MonitorOptions> = {},
): Monitored {
  const { element, service } = monitor({ until: new AbortController().signal, ...options });
  const chain = run([updatePath({ name: "hop" }), beginServer(), connectionState(), element, ...behind]);
  return { ...chain, service };
}

export const bySegment = (patch: Partial<PathSegment>): MonitorScopeSelector =>
  MonitorScopeSelector.create({ pathSegments: [PathSegment.create(patch)] });

/** All events of a subscriber. */
export function watch(
  service: MonitorConnection,
  { selector = MonitorScopeSelector.create(), ctx = Context.background() } = {},
): { events: readonly ConnectionEvent[]; summary: unknown[]; ended: boolean; stop(): void } {
  const events: ConnectionEvent[] = [];
  let ended = false;
  const subscription = service.monitorConnections(ctx, selector).subscribe({
    next: (event) => events.push(event),
    complete: () => (ended = true),
  });
  return {
    events,
    get ended() {
      return ended;
    },
    /** Type, and the states of the connections by id. */
    get summary() {
      return events.map(({ type, connections }) => [
        type,
        Object.fromEntries(Object.entries(connections).map(([id, { state }]) => [id, state])),
      ]);
    },
    stop: () => subscription.unsubscribe(),
  };
}
