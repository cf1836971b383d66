import { connectionOf, nextSegment, type Connection } from "../../api/index.js";
import {
  connectionEvents,
  eventCause,
  explain,
  log,
  unlessDone,
  type ConnectionEvents,
  type Context,
  type EventOptions,
  type EventOutcome,
  type NetworkService,
} from "../../core/index.js";
import type { Entries, Entry, Established } from "./entries.js";
import { comesFromLeftHop } from "./origin.js";

/** The part of an event's time that the Close of a reselect may use; the rest is for the Request. */
const RESELECT_CLOSE_SHARE = 1 / 3;

/**
 * A Close from outside. It pre-empts events under way, always closes what was established last whatever the
 * caller brings, and forgets the connection even when the rest of the chain fails: a second Close finds its way
 * by the path. A Request that comes meanwhile waits for its end. Of an unknown connection the path decides:
 * the Close is forwarded to an onward segment, and the last hop answers OK.
 *
 * A Close is carried out even if its caller has stopped waiting, with as much time as the caller had. The caller
 * gets its own error in time. `admit` throws when this caller may not close what is established. A Close from a hop
 * that the connection has left is ignored.
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
    if (nextSegment(connection)) await next.close(closingContext(ctx), connection);
    return;
  }
  if (entry.established) {
    admit(ctx, connection, connectionOf(entry.established.request));
    if (ignores(ctx, connection, entry.established)) return;
    entry.preemptEvents();
  }
  const turn = entry.queue.run(async () => {
    const { established } = entry;
    if (!established || !entries.holds(entry)) return false;
    admit(ctx, connection, connectionOf(established.request));
    if (ignores(ctx, connection, established)) return true;
    entry.preemptEvents();
    await ctx.detached((c) => closeForGood(c, entries, entry, established));
    return true;
  });
  // While we waited, another Close came first or a first Request failed.
  if (!(await unlessDone(ctx, turn))) await closeFromOutside(entries, ctx, connection, next, admit);
}

function ignores(ctx: Context, asked: Connection, { request }: Established): boolean {
  if (!comesFromLeftHop(asked, connectionOf(request))) return false;
  log(ctx).info({ connection: asked.id }, "ignored a Close from a hop that the connection has left");
  return true;
}

/** A Close event: as from outside, in its turn, with the Context of events. */
export function closeEvent(entries: Entries, entry: Entry, options: EventOptions): Promise<EventOutcome> {
  return entry.runEvent(options, (ctx, established) => closeForGood(ctx, entries, entry, established));
}

/** Closes what is established and forgets it. The entry stays until then, so that later calls wait. */
async function closeForGood(
  ctx: Context,
  entries: Entries,
  entry: Entry,
  { request }: Established,
): Promise<void> {
  entry.established = undefined;
  try {
    await entry.next.close(closingContext(ctx), request.connection!);
  } finally {
    await entry.release(ctx);
    entries.delete(entry);
  }
}

/**
 * Closes what is established without letting a failure stop what comes after. A next hop that does not answer
 * must not use up the time of the Request that follows.
 */
export async function closeBeforeReselect(
  ctx: Context,
  entry: Entry,
  { request }: Established,
): Promise<void> {
  const { remainingMs } = ctx;
  const close = (c: Context): Promise<void> => entry.next.close(c, request.connection!);
  try {
    if (remainingMs === undefined) await close(ctx);
    else await ctx.withTimeout(Math.max(0, remainingMs * RESELECT_CLOSE_SHARE), close);
  } catch (error) {
    log(ctx).debug(
      { error: explain(error), connection: request.connection?.id },
      "close before reselect failed",
    );
  }
  await entry.release(ctx);
}

function closingContext(ctx: Context): Context {
  const caused = ctx.get(eventCause) ? ctx : ctx.with(eventCause, "user");
  return caused.with(connectionEvents, closedEvents);
}

/** What elements find during a Close: nothing more can happen to this connection. */
const closedEvents: ConnectionEvents = {
  closed: AbortSignal.abort(),
  request: async () => "skipped",
  close: async () => "skipped",
};
