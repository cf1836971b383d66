import { pathOf, previousSegment, type Connection } from "../../api/index.js";
import { Code, NsmError, peer, type Context } from "../../core/index.js";
import { subjectOf } from "../../identity/token-subject.js";
import { isStale, requestMark } from "../monitor/marks.js";

/**
 * Rejects a call about a connection that another process created. A connection belongs to the first segment of
 * its path, by the segment's id and identity. For a direct caller, the identity is the one that TLS verified.
 * The hops between the first segment and this one may change when the connection heals.
 *
 * @throws NsmError PERMISSION_DENIED
 */
export function assertSameOrigin(ctx: Context, asked: Connection, stored: Connection): void {
  const [theirs, ours] = [originOf(asked), originOf(stored)];
  if (theirs === undefined && ours === undefined) return;
  if (theirs && ours && theirs.id === ours.id && sameSubject(ctx, asked, theirs.token, ours.token)) return;
  throw new NsmError(
    Code.PermissionDenied,
    `connection ${stored.id} belongs to ${ours ? `"${ours.name}"` : "this process"}, not to this caller`,
  );
}

/**
 * Whether a Close comes from a hop that the connection has left. Such a hop differs from the previous hop of
 * the last Request, and knows only an earlier Request of the client. Its part of the old path ends; the
 * connection stays.
 */
export function comesFromLeftHop(asked: Connection, stored: Connection): boolean {
  const [theirs, ours] = [previousSegment(asked), previousSegment(stored)];
  if (!theirs || !ours || theirs.id === ours.id) return false;
  const [before, now] = [asked, stored].map((connection) => requestMark(pathOf(connection).pathSegments[0]));
  return isStale(before, now);
}

function originOf(connection: Connection): { id: string; name: string; token: string } | undefined {
  const { index, pathSegments } = pathOf(connection);
  return index > 0 ? pathSegments[0] : undefined;
}

function sameSubject(ctx: Context, asked: Connection, token: string, stored: string): boolean {
  // Without update-token, the tokens of callers are not stored.
  if (stored === "") return true;
  const caller = pathOf(asked).index === 1 ? ctx.get(peer) : undefined;
  // The identity that TLS verified, or else the token sent with the call, which is newer than the token in the
  // path.
  if (caller?.spiffeId !== undefined) return caller.spiffeId === subjectOf(stored);
  const shown = caller?.token?.token ?? token;
  return shown === stored || subjectOf(shown) === subjectOf(stored);
}
