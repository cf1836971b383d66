import { isDeepStrictEqual } from "node:util";
import { Connection, pathOf, type PathSegment } from "../../api/index.js";
import { codeName, codeOf, explain, type NetworkServiceElement } from "../../core/index.js";
import { withoutMarks, type DownCause } from "../../elements/monitor/index.js";

/** What can be told of a connection. */
export type ConnectionEventName = "established" | "updated" | "healing" | "closed" | "failed";

/** Tells the world, one JSON line per event, the connection in protobuf's JSON mapping. */
export class EventReporter {
  private readonly known = new Map<string, Connection>();
  /** The connections that are being rebuilt, and whether a hop has reported that it lost their endpoint. */
  private readonly healing = new Map<string, boolean>();
  private readonly failures = new Map<string, string>();

  constructor(private readonly write: (line: string) => void) {}

  /** An element that reports every good Request: established the first time, updated when something changed. */
  element(): NetworkServiceElement {
    return {
      name: "report",
      request: async (ctx, request, next) => {
        const connection = await next.request(ctx, request);
        const before = this.known.get(connection.id);
        const healed = this.healing.delete(connection.id);
        this.known.set(connection.id, connection);
        this.failures.delete(connection.id);
        if (!before) this.emit("established", connection);
        else if (healed || !isDeepStrictEqual(lasting(before), lasting(connection)))
          this.emit("updated", connection);
        return connection;
      },
    };
  }

  /** A loss was noticed; the connection is being rebuilt. */
  lost(connection: Connection, cause?: DownCause): void {
    const beforeLast = pathOf(connection).pathSegments.length - 2;
    this.healing.set(connection.id, cause?.reason === "unreachable" && cause.index === beforeLast);
    this.emit("healing", connection);
  }

  /** A try failed. The same failure is told once, however often it repeats. */
  failed(connection: Connection, error: unknown, retrying: boolean): void {
    const message = explain(error);
    if (this.failures.get(connection.id) === message && retrying) return;
    this.failures.set(connection.id, message);
    this.emit("failed", connection, { error: { code: codeName(codeOf(error)), message }, retrying });
  }

  /** A connection as it is now: refreshes and heals may have changed it since it was given to somebody. */
  current(connection: Connection): Connection {
    return this.known.get(connection.id) ?? connection;
  }

  /** Whether the connection is being rebuilt because its endpoint cannot be reached any more. */
  hasLostEndpoint({ id }: Connection): boolean {
    return this.healing.get(id) ?? false;
  }

  closed(connection: Connection): void {
    const current = this.current(connection);
    this.known.delete(connection.id);
    this.healing.delete(connection.id);
    this.emit("closed", current);
  }

  private emit(event: ConnectionEventName, connection: Connection, more: object = {}): void {
    this.write(
      `${JSON.stringify({ event, connection: Connection.toJSON(withoutTokens(connection)), ...more })}\n`,
    );
  }
}

/** A connection without what changes at every refresh. */
function lasting(connection: Connection): Connection {
  return mapSegments(connection, (segment) => ({ ...withoutMarks(segment), token: "", expires: undefined }));
}

/** Tokens are as good as keys until they expire: they do not belong into anybody's log. */
function withoutTokens(connection: Connection): Connection {
  return mapSegments(connection, (segment) => ({ ...segment, token: "" }));
}

function mapSegments(connection: Connection, change: (segment: PathSegment) => PathSegment): Connection {
  const { path } = connection;
  return path
    ? { ...connection, path: { ...path, pathSegments: path.pathSegments.map(change) } }
    : connection;
}
