import { ContextKey } from "./context.js";
import type { ConnectionEvents, RequestEventOptions } from "./events.js";

/** How many connections are requested at the same time. */
const CONCURRENCY = 16;

/** What became of the connections that were requested again. */
export interface RequestedAgain {
  /** How many Requests succeeded. Connections that were closed meanwhile do not count. */
  readonly done: number;
  /** What the others failed with, by connection id. */
  readonly failures: ReadonlyMap<string, unknown>;
}

/**
 * The connections that stand behind one begin(), with their events. For elements that must request all of them
 * again, because what they give out has changed.
 *
 * @example
 * const live = new LiveConnections();
 * const elements = [updatePath({ name }), beginServer({ live }), connectionState(), dns];
 * dns.changes.subscribe(() => void live.requestAll({ cause: "upstream" }));
 */
export class LiveConnections {
  private readonly connections = new Map<string, ConnectionEvents>();

  get size(): number {
    return this.connections.size;
  }

  /** Ids and events, in the order in which the connections were established. */
  [Symbol.iterator](): IterableIterator<[id: string, events: ConnectionEvents]> {
    return this.connections.entries();
  }

  /** For begin(): the connection stands. */
  add(id: string, events: ConnectionEvents): void {
    this.connections.set(id, events);
  }

  /** For begin(): the connection is gone. */
  delete(id: string): void {
    this.connections.delete(id);
  }

  /** Requests every connection again, each in its turn, a few at a time. */
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

/** The connections of the chain that a call runs through. Set by begin(), for the elements behind it. */
export const liveConnections = new ContextKey<LiveConnections>("live-connections");
