import { Observable, type Subscriber as Reader } from "rxjs";
import {
  Connection,
  ConnectionEventType,
  pathOf,
  type ConnectionEvent,
  type MonitorScopeSelector,
} from "../../api/index.js";
import { peer, type Context, type DebugState, type MonitorConnection } from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { idOf, matchesSelector, MultiMap, SelectorIndex } from "./selector.js";

/** A connection and the identity of its owner. */
interface Entry {
  connection: Connection;
  owner: string | undefined;
}

interface Subscriber {
  readonly selector: MonitorScopeSelector;
  /** Identity of the subscriber if it may see only its own connections. */
  readonly viewer: string | undefined;
  readonly reader: Reader<ConnectionEvent>;
}

/** The established connections and the subscribers to their events. */
export class ConnectionTable implements MonitorConnection {
  private readonly entries = new Map<string, Entry>();
  // Most subscriptions name a segment id, and there may be one per connection.
  private readonly entriesBySegment = new MultiMap<Entry>();
  private readonly subscribers = new Set<Subscriber>();
  private readonly subscribersBySelector = new SelectorIndex<Subscriber>();

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
      keys: this.entriesBySegment.size + this.subscribersBySelector.size,
    };
  }

  get(id: string): Connection | undefined {
    return this.entries.get(id)?.connection;
  }

  /** Publishes the current state of a connection. Without `owner`, the owner stays the same. */
  put(connection: Connection, owner?: string): void {
    const entry = this.entries.get(connection.id) ?? { connection: Connection.create(), owner };
    this.index(entry, connection);
    entry.connection = connection;
    entry.owner = owner ?? entry.owner;
    this.entries.set(connection.id, entry);
    this.publish(ConnectionEventType.UPDATE, entry);
  }

  /** Publishes the deletion of a connection. */
  delete(id: string): void {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.entries.delete(id);
    this.index(entry, undefined);
    this.publish(ConnectionEventType.DELETE, entry);
  }

  monitorConnections(ctx: Context, selector: MonitorScopeSelector): Observable<ConnectionEvent> {
    return new Observable<ConnectionEvent>((reader) => {
      if (this.until.aborted) return reader.complete();
      const viewer = this.showAll ? undefined : ctx.get(peer)?.spiffeId;
      const subscriber = { selector, viewer, reader };
      this.subscribers.add(subscriber);
      this.subscribersBySelector.add(subscriber);
      reader.add(() => {
        this.subscribers.delete(subscriber);
        this.subscribersBySelector.delete(subscriber);
      });
      const id = idOf(selector);
      const candidates = id === undefined ? [...this.entries.values()] : this.entriesBySegment.get(id);
      const shown = candidates.filter((entry) => isFor(subscriber, entry));
      reader.next(eventOf(ConnectionEventType.INITIAL_STATE_TRANSFER, shown));
    });
  }

  private index(entry: Entry, connection: Connection | undefined): void {
    const [before, after] = [segmentIds(entry.connection), connection ? segmentIds(connection) : []];
    // A refresh usually keeps the path.
    if (before.length === after.length && before.every((id, i) => id === after[i])) return;
    for (const id of before) this.entriesBySegment.delete(id, entry);
    for (const id of after) this.entriesBySegment.add(id, entry);
  }

  private publish(type: ConnectionEventType, entry: Entry): void {
    const event = eventOf(type, [entry]);
    for (const subscriber of this.subscribersBySelector.find(entry.connection)) {
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

/** Without duplicates, because a path may lead through a process twice. */
function segmentIds(connection: Connection): readonly string[] {
  const ids = pathOf(connection).pathSegments.map(({ id }) => id);
  return new Set(ids).size === ids.length ? ids : [...new Set(ids)];
}
