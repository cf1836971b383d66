import { pathOf, type Connection } from "../../api/index.js";
import { Code, NsmError, peer, type Context } from "../../core/index.js";
import { parseToken } from "../../identity/index.js";

/**
 * Refuses a call about a connection that somebody else began. A connection belongs to the first segment of its
 * path, id and subject of the token; the hops between it and us may change when it heals.
 *
 * @throws NsmError PERMISSION_DENIED
 */
export function assertSameOrigin(ctx: Context, asked: Connection, stored: Connection): void {
  const [theirs, ours] = [originOf(asked), originOf(stored)];
  if (theirs === undefined && ours === undefined) return;
  // What the caller shows with the call is newer than what the path says; update-token comes later.
  const shown = pathOf(asked).index === 1 ? ctx.get(peer)?.token?.token : undefined;
  if (theirs && ours && theirs.id === ours.id && sameSubject(shown ?? theirs.token, ours.token)) return;
  throw new NsmError(
    Code.PermissionDenied,
    `connection ${stored.id} was begun by ${ours ? `"${ours.name}"` : "this process"}, not by this caller`,
  );
}

function originOf(connection: Connection): { id: string; name: string; token: string } | undefined {
  const { index, pathSegments } = pathOf(connection);
  return index > 0 ? pathSegments[0] : undefined;
}

function sameSubject(asked: string, stored: string): boolean {
  // Without update-token nobody keeps what callers show.
  return stored === "" || asked === stored || subjectOf(asked) === subjectOf(stored);
}

/** Who made a token; undefined for what is no token, which only policies may refuse. */
function subjectOf(token: string): string | undefined {
  try {
    return parseToken(token).sub;
  } catch {
    return undefined;
  }
}
