import type { Connection, Path, PathSegment } from "./generated/connection.js";
import { ConnectionContext, IPContext } from "./generated/connectioncontext.js";
import type { NetworkServiceRequest } from "./generated/networkservice.js";

/** The path of a connection. Returns an empty path if the connection has none. */
export function pathOf(connection: Connection): Path {
  return connection.path ?? { index: 0, pathSegments: [] };
}

/** The segment of the process that holds the message. */
export function currentSegment(connection: Connection): PathSegment | undefined {
  const path = pathOf(connection);
  return path.pathSegments[path.index];
}

/** The segment of the process that sent the message; undefined at the first hop. */
export function previousSegment(connection: Connection): PathSegment | undefined {
  const path = pathOf(connection);
  return path.pathSegments[path.index - 1];
}

/** The segment of the next process on the path; undefined at the last hop. */
export function nextSegment(connection: Connection): PathSegment | undefined {
  const path = pathOf(connection);
  return path.pathSegments[path.index + 1];
}

/**
 * Returns the connection with one segment of its path changed. Without such a segment, returns it unchanged.
 */
export function patchSegment(connection: Connection, index: number, patch: Partial<PathSegment>): Connection {
  const path = pathOf(connection);
  const segment = path.pathSegments[index];
  if (!segment) return connection;
  return {
    ...connection,
    path: { ...path, pathSegments: path.pathSegments.with(index, { ...segment, ...patch }) },
  };
}

/** Returns the connection with parts of its IP context changed. Creates missing contexts. */
export function patchIpContext(
  connection: Connection,
  patch: (ip: IPContext) => Partial<IPContext>,
): Connection {
  const context = connection.context ?? ConnectionContext.create();
  const ip = context.ipContext ?? IPContext.create();
  return { ...connection, context: { ...context, ipContext: { ...ip, ...patch(ip) } } };
}

/** Returns the request with parts of its connection changed. */
export function patchConnection(
  request: NetworkServiceRequest,
  patch: Partial<Connection>,
): NetworkServiceRequest {
  return { ...request, connection: { ...connectionOf(request), ...patch } };
}

/**
 * Thrown by connectionOf(). `code` is INVALID_ARGUMENT, as a plain number: this folder does not import
 * NsmError.
 */
class MissingConnection extends Error {
  override readonly name = "MissingConnection";
  readonly code = 3;
}

/** The connection of a request. update-path guarantees it, so later elements can rely on it. */
export function connectionOf(request: NetworkServiceRequest): Connection {
  if (!request.connection) {
    throw new MissingConnection("the request has no connection: put update-path before every other element");
  }
  return request.connection;
}
