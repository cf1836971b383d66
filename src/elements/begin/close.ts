import { connectionOf, nextSegment, type Connection } from "../../api/index.js";
import {
  connectionEvents,
  type ConnectionEvents,
  type Context,
  type EventOptions,
  type EventOutcome,
  type NetworkService,
} from "../../core/index.js";
import type { Entries, Entry } from "./entries.js";

/**
 * A Close from outside. It pre-empts events under way, always closes what was established last whatever the
 * caller brings, and forgets the connection even when the rest of the chain fails: a second Close finds its way
 * by the path. Of an unknown connection the path decides: onward segments are told, a last hop says yes.
 * `admit` throws when this caller may not close what is established.
 */
export async function closeFromOutside(
  entries: Entries,
  ctx: Context,
  connection: Connection,
  next: NetworkService,
  admit: (ctx: Context, asked: Connection, established: Connection) => void = () => {},
): Promise<void> {
  const entry = entries.get(connection.id);
  if (!entry) {
    if (nextSegment(connection)) await next.close(ctx.with(connectionEvents, closedEvents), connection);
    return;
  }
  if (entry.established) admit(ctx, connection, connectionOf(entry.established.request));
  entry.preemptEvents();
  const closed = await entry.queue.run(async () => {
    const { established } = entry;
    if (!established || entries.get(connection.id) !== entry) return false;
    admit(ctx, connection, connectionOf(established.request));
    entry.established = undefined;
    entries.delete(entry);
    await next.close(ctx.with(connectionEvents, closedEvents), established.request.connection!);
    return true;
  });
  // While we waited, another Close came first or a first Request failed.
  if (!closed) await closeFromOutside(entries, ctx, connection, next, admit);
}

/** A Close event: as from outside, in its turn, with the Context of events. */
export function closeEvent(
  entries: Entries,
  entry: Entry,
  options: EventOptions,
  next: NetworkService,
): Promise<EventOutcome> {
  return entry.runEvent(options, async (ctx, { request }) => {
    entry.established = undefined;
    entries.delete(entry);
    await next.close(ctx.with(connectionEvents, closedEvents), request.connection!);
  });
}

/** What elements find during a Close: nothing more can happen to this connection. */
const closedEvents: ConnectionEvents = {
  closed: AbortSignal.abort(),
  request: async () => "skipped",
  close: async () => "skipped",
};
