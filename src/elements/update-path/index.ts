/**
 * Adds this process to the path of a connection: its segment becomes the current one, and `Connection.id` its
 * id. An answer is set back to the segment of its recipient.
 *
 * The id of a new segment is derived from the id of the previous segment, the caller, the name of the process
 * and a secret of the process. A caller whose answer was lost can repeat the Request, or send a Close, without
 * this process's segment in its path, and reaches the same connection. At the head of a path, the id is random.
 *
 * One element for both sides. The first element of every chain. NSM protocol, path and segment rules.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 *
 * chain([updatePath({ name: "nsmgr-1" }), beginServer(), connectionState()]);
 *
 * @packageDocumentation
 */
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { Connection, PathSegment, pathOf } from "../../api/index.js";
import { Code, NsmError, peer, type Context, type NetworkServiceElement } from "../../core/index.js";

/** Options of updatePath(). */
export interface UpdatePathOptions {
  /**
   * Name of the process. Use the same name in its server and client chains; otherwise the process has two
   * segments.
   */
  readonly name: string;
  /** Key of the segment ids. Default: 32 random bytes. With a stored key, the ids stay the same after a restart. */
  readonly secret?: Uint8Array | undefined;
}

/**
 * Creates the element. See the module description.
 *
 * @throws NsmError INVALID_ARGUMENT if the path's index is beyond its last segment, or if the current segment
 * belongs to another connection.
 */
export function updatePath({ name, secret = randomBytes(32) }: UpdatePathOptions): NetworkServiceElement {
  return {
    name: "update-path",
    outside: ["begin", "connection-state", "update-token"],

    async request(ctx, request, next) {
      const asked = request.connection ?? Connection.create();
      const { connection, sender } = enter(asked, name, secretFor(ctx, secret));
      const response = await next.request(ctx, { ...request, connection });
      return rewind(response, sender);
    },

    async close(ctx, connection, next) {
      await next.close(ctx, enter(connection, name, secretFor(ctx, secret)).connection);
    },
  };
}

/**
 * Derives a secret per verified identity, so that different callers with the same id get different connections.
 */
function secretFor(ctx: Context, secret: Uint8Array): Uint8Array {
  const caller = ctx.get(peer)?.spiffeId;
  return caller === undefined ? secret : createHmac("sha256", secret).update(caller).digest();
}

interface Entered {
  readonly connection: Connection;
  /** The index of the segment that the answer is for. */
  readonly sender: number;
}

function enter(connection: Connection, name: string, secret: Uint8Array): Entered {
  const path = pathOf(connection);
  const { index, pathSegments } = path;
  const at = (id: string, place: number, segments: readonly PathSegment[]): Connection => ({
    ...connection,
    id,
    path: { ...path, index: place, pathSegments: segments },
  });

  if (pathSegments.length === 0) {
    const id = connection.id || randomUUID();
    return { connection: at(id, 0, [PathSegment.create({ name, id })]), sender: 0 };
  }
  const current = pathSegments[index];
  if (!current) {
    throw new NsmError(
      Code.InvalidArgument,
      `path index ${index} is beyond the last segment, ${pathSegments.length - 1}`,
    );
  }
  if (current.name === name) return { connection: at(current.id, index, pathSegments), sender: index };
  if (current.id !== connection.id) {
    throw new NsmError(
      Code.InvalidArgument,
      `connection id "${connection.id}" differs from the id of its current path segment, "${current.id}"`,
    );
  }
  const known = pathSegments[index + 1];
  const own =
    known?.name === name ? known : PathSegment.create({ name, id: derivedId(current.id, name, secret) });
  // The segments after a changed segment stay for trim-path, because the next hop may find its own among them.
  const segments = [...pathSegments.slice(0, index + 1), own, ...pathSegments.slice(index + 2)];
  return { connection: at(own.id, index + 1, segments), sender: index };
}

function rewind(response: Connection, index: number): Connection {
  const segment = response.path?.pathSegments[index];
  return segment ? { ...response, id: segment.id, path: { ...response.path!, index } } : response;
}

/** A UUID of version 8 (RFC 9562, section 5.8), the version for hash-based ids. */
function derivedId(previousId: string, name: string, secret: Uint8Array): string {
  const hash = createHmac("sha256", secret).update(`${previousId}\0${name}`).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
