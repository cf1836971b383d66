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
import type { Key } from "../../core/keyed-events.js";
import type { Entries, Entry, Established } from "./entries.js";
import { comesFromLeftHop } from "./origin.js";

/** The share of an event's time that the Close of a reselect may use. The rest is for the Request. */
const RESELECT_CLOSE_SHARE = 1 / 3;

/**
 * Handles a Close from outside. It preempts running events and always closes the connection that was
 * established last, whatever connection the caller passes. It forgets the connection even if the rest of the
 * chain fails. A second Close is then forwarded by its path. A Request that arrives in the meantime waits until
 * the Close has ended. A Close of an unknown connection is forwarded if its path has a next segment; the last
 * hop answers OK.
 *
 * A Close runs to its end even if its caller stops waiting, with the caller's time limit. The caller still
 * receives its own error in time. `admit` throws if the caller must not close the established connection. A
 * Close from a hop that the connection has left is ignored.
 */
export async function closeFromOutside(
  entries: Entries,
  ctx: Context,
  connection: Connection,
  next: NetworkService,
  admit: (ctx: Context, asked: Connection, established: Connection) => void = () => {},
): Promise<void> {
  const isAbout = ({ request }: Established): boolean => {
    const established = connectionOf(request);
    admit(ctx, connection, established);
    if (!comesFromLeftHop(connection, established)) return true;
    log(ctx).info({ connection: connection.id }, "ignored a Close from a hop that the connection has left");
    return false;
  };
  const known = entries.calls.lifeOf(connection.id)?.established;
  if (known && !isAbout(known)) return;
  const turn = entries.calls.end(connection.id, known !== undefined, async (key) => {
    const entry = key.life;
    if (entry?.established) {
      const { established } = entry;
      if (isAbout(established)) await ctx.detached((c) => closeForGood(c, key, entry, established));
    } else if (nextSegment(connection)) {
      ctx.throwIfDone();
      await next.close(closingContext(ctx), connection);
    }
  });
  await unlessDone(ctx, turn);
}

/** Handles a Close event: like a Close from outside, but queued and with the Context of events. */
export function closeEvent(entry: Entry, options: EventOptions): Promise<EventOutcome> {
  return entry.runEvent(options, (ctx, established, key) => closeForGood(ctx, key, entry, established));
}

/** Closes the established connection and forgets it. Later calls wait until the Close has ended. */
async function closeForGood(
  ctx: Context,
  key: Key<Entry>,
  entry: Entry,
  { request }: Established,
): Promise<void> {
  key.life = undefined;
  entry.end();
  try {
    await entry.next.close(closingContext(ctx), request.connection!);
  } finally {
    await entry.release(ctx);
  }
}

/**
 * Closes the established connection before a reselect and logs a failure instead of throwing it. The time limit
 * keeps a next hop that does not answer from using up the time of the following Request.
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

/** The events that elements see during a Close: no further event can start. */
const closedEvents: ConnectionEvents = {
  closed: AbortSignal.abort(),
  request: async () => "skipped",
  close: async () => "skipped",
};
