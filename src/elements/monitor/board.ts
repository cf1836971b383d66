import { Observable, type Subscriber as Reader } from "rxjs";
import {
  ConnectionEventType,
  type Connection,
  type ConnectionEvent,
  type MonitorScopeSelector,
} from "../../api/index.js";
import { atEnd, peer, type Context, type DebugState, type MonitorConnection } from "../../core/index.js";
import { KeyIndex, keysOfConnection, keysOfSelector, matchesSelector } from "./selector.js";

/** A connection as it stands, and who asked for it. */
interface Entry {
  readonly connection: Connection;
  readonly owner: string | undefined;
  readonly keys: ReadonlySet<string>;
}

interface Subscriber {
  readonly selector: MonitorScopeSelector;
  /** Its identity, when it may see only its own connections. */
  readonly viewer: string | undefined;
  readonly reader: Reader<ConnectionEvent>;
}

/** What stands, and who wants to hear of it. */
export class Board implements MonitorConnection {
  private readonly entries = new Map<string, Entry>();
  private readonly entriesByKey = new KeyIndex<Entry>();
  private readonly subscribers = new Set<Subscriber>();
  private readonly subscribersByKey = new KeyIndex<Subscriber>();

  constructor(
    private readonly until: AbortSignal,
    private readonly showAll: boolean,
  ) {
    atEnd(until, () => [...this.subscribers].forEach(({ reader }) => reader.complete()));
  }

  debugState(): DebugState {
    return {
      connections: this.entries.size,
      subscribers: this.subscribers.size,
      keys: this.entriesByKey.size + this.subscribersByKey.size,
    };
  }

  get(id: string): Connection | undefined {
    return this.entries.get(id)?.connection;
  }

  /** Publishes a connection as it stands now; `owner` stays what it was when left out. */
  put(connection: Connection, owner?: string): void {
    const before = this.entries.get(connection.id);
    const entry = { connection, owner: owner ?? before?.owner, keys: keysOfConnection(connection) };
    if (before) this.entriesByKey.delete(before.keys, before);
    this.entries.set(connection.id, entry);
    this.entriesByKey.add(entry.keys, entry);
    this.tell(ConnectionEventType.UPDATE, entry);
  }

  /** Publishes that a connection is gone. */
  delete(id: string): void {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    this.entriesByKey.delete(entry.keys, entry);
    this.tell(ConnectionEventType.DELETE, entry);
  }

  monitorConnections(ctx: Context, selector: MonitorScopeSelector): Observable<ConnectionEvent> {
    return new Observable<ConnectionEvent>((reader) => {
      if (this.until.aborted) return reader.complete();
      const viewer = this.showAll ? undefined : ctx.get(peer)?.spiffeId;
      const subscriber = { selector, viewer, reader };
      const keys = keysOfSelector(selector);
      this.subscribers.add(subscriber);
      this.subscribersByKey.add(keys, subscriber);
      reader.add(() => {
        this.subscribers.delete(subscriber);
        this.subscribersByKey.delete(keys, subscriber);
      });
      const shown = [...this.entriesByKey.find(keys)].filter((entry) => isFor(subscriber, entry));
      reader.next(eventOf(ConnectionEventType.INITIAL_STATE_TRANSFER, shown));
    });
  }

  private tell(type: ConnectionEventType, entry: Entry): void {
    const event = eventOf(type, [entry]);
    for (const subscriber of this.subscribersByKey.find(entry.keys)) {
      if (isFor(subscriber, entry)) subscriber.reader.next(event);
    }
  }
}

function isFor({ selector, viewer }: Subscriber, { connection, owner }: Entry): boolean {
  return (viewer === undefined || viewer === owner) && matchesSelector(selector, connection);
}

function eventOf(type: ConnectionEventType, entries: readonly Entry[]): ConnectionEvent {
  return {
    type,
    connections: Object.fromEntries(entries.map(({ connection }) => [connection.id, connection])),
  };
}
