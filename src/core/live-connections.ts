import { ContextKey } from "./context.js";
import type { ConnectionEvents, RequestEventOptions } from "./events.js";

/** Maximum number of connections requested at the same time. */
const CONCURRENCY = 16;

/** The result of requesting all connections again. */
export interface RequestedAgain {
  /** The number of Requests that succeeded. Connections closed in the meantime are not counted. */
  readonly done: number;
  /** The failures of the other Requests, by connection id. */
  readonly failures: ReadonlyMap<string, unknown>;
}

/**
 * The established connections of one begin(), with their events. For elements that must request all connections
 * again because a value that they provide has changed.
 *
 * @example
 * import { beginServer, connectionState, updatePath } from "nsm-sdk";
 * import { LiveConnections } from "nsm-sdk/core";
 *
 * const live = new LiveConnections();
 * const elements = [updatePath({ name }), beginServer({ live }), connectionState()];
 * await live.requestAll({ cause: "upstream" });
 */
export class LiveConnections {
  private readonly connections = new Map<string, ConnectionEvents>();

  get size(): number {
    return this.connections.size;
  }

  /** The ids and events, in the order in which the connections were established. */
  [Symbol.iterator](): IterableIterator<[id: string, events: ConnectionEvents]> {
    return this.connections.entries();
  }

  /** Called by begin() when the connection is established. */
  add(id: string, events: ConnectionEvents): void {
    this.connections.set(id, events);
  }

  /** Called by begin() when the connection has ended. */
  delete(id: string): void {
    this.connections.delete(id);
  }

  /**
   * Requests every connection again, up to 16 at a time. Each Request waits for its turn among the connection's
   * events.
   */
  async requestAll(options: RequestEventOptions = {}): Promise<RequestedAgain> {
    const waiting = [...this.connections];
    const failures = new Map<string, unknown>();
    let done = 0;
    const requestNext = async (): Promise<void> => {
      for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
        const [id, events] = entry;
        try {
          if ((await events.request({ cause: "upstream", ...options })) === "done") done++;
        } catch (error) {
          failures.set(id, error);
        }
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, requestNext));
    return { done, failures };
  }
}

/** The connections of the chain that processes the call. Set by begin(), for the elements after it. */
export const liveConnections = new ContextKey<LiveConnections>("live-connections");
