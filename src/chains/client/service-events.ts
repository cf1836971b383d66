import { isDeepStrictEqual } from "node:util";
import { ReplaySubject } from "rxjs";
import { pathOf, type Connection, type PathSegment } from "../../api/index.js";
import { asNsmError, explain, type NetworkServiceElement, type NsmError } from "../../core/index.js";
import type { Loss } from "../../elements/heal/index.js";
import { type DownCause } from "../../elements/monitor/index.js";
import { withoutMarks } from "../../elements/monitor/marks.js";

/** The connection is usable: for the first time (`established`), or healed or changed by a hop (`updated`). */
export interface ServiceConnected {
  readonly type: "established" | "updated";
  readonly connection: Connection;
}

/**
 * The connection is lost and is being rebuilt. `updated` follows when it is usable again, `failed` with the reason
 * while that does not succeed.
 */
export interface ServiceHealing {
  readonly type: "healing";
  /** The connection before the loss. */
  readonly connection: Connection;
  /** What detected the loss: the hops (`control plane`) or the liveness check (`data plane`). */
  readonly loss: Loss;
  /** Set if a hop reported the cause. */
  readonly cause: DownCause | undefined;
}

/** `close()` has closed the connection. The last event. */
export interface ServiceClosed {
  readonly type: "closed";
  /** The last state of the connection. */
  readonly connection: Connection;
}

/**
 * The connection cannot be established, healed or closed. A repeated failure is reported once. A lost
 * endpoint is not a failure if healing finds another one at once.
 */
export interface ServiceFailed {
  readonly type: "failed";
  /** The requested connection, or its last state. */
  readonly connection: Connection;
  readonly error: NsmError;
  /** Whether another try follows. If not, this is the last event. */
  readonly retrying: boolean;
}

/** An event of a connection of connectService(). */
export type ServiceEvent = ServiceConnected | ServiceHealing | ServiceClosed | ServiceFailed;

/** Publishes the events of one connection. */
export class ServiceEvents {
  /** A late subscriber receives the last event first. */
  readonly subject = new ReplaySubject<ServiceEvent>(1);
  private last: Connection | undefined;
  private loss: { readonly endpoint: boolean } | undefined;
  private failure: string | undefined;

  constructor(private readonly requested: Connection) {}

  /** The answer of the last successful Request, until the connection is closed. */
  get connection(): Connection | undefined {
    return this.last;
  }

  /** Whether the connection is being rebuilt because its endpoint is unreachable. */
  get hasLostEndpoint(): boolean {
    return this.loss?.endpoint ?? false;
  }

  /** Reports each successful Request that establishes, heals or changes the connection. */
  element(): NetworkServiceElement {
    return {
      name: "service-events",
      request: async (ctx, request, next) => {
        const connection = await next.request(ctx, request);
        this.connected(withoutOwnMetrics(connection));
        return connection;
      },
    };
  }

  lost(connection: Connection, loss: Loss, cause: DownCause | undefined): void {
    const beforeLast = pathOf(connection).pathSegments.length - 2;
    this.loss = { endpoint: cause?.reason === "unreachable" && cause.index === beforeLast };
    this.subject.next({ type: "healing", connection: withoutOwnMetrics(connection), loss, cause });
  }

  failed(error: unknown, retrying: boolean): void {
    const reason = explain(error);
    if (retrying && reason === this.failure) return;
    this.failure = reason;
    const connection = this.last ?? this.requested;
    this.subject.next({ type: "failed", connection, error: asNsmError(error), retrying });
  }

  closed(): void {
    const connection = this.last;
    this.last = undefined;
    if (connection) this.subject.next({ type: "closed", connection });
  }

  /** Completes the events. */
  end(): void {
    this.last = undefined;
    this.subject.complete();
  }

  private connected(connection: Connection): void {
    const before = this.last;
    const healed = this.loss !== undefined;
    this.last = connection;
    this.loss = undefined;
    this.failure = undefined;
    if (!before) this.subject.next({ type: "established", connection });
    else if (healed || !isDeepStrictEqual(lasting(before), lasting(connection)))
      this.subject.next({ type: "updated", connection });
  }
}

/** A connection without the metrics by which the hops follow each other's Requests. */
function withoutOwnMetrics(connection: Connection): Connection {
  return mapSegments(connection, withoutMarks);
}

/** A connection without the fields that change on every refresh. */
function lasting(connection: Connection): Connection {
  return mapSegments(connection, (segment) => ({ ...segment, token: "", expires: undefined }));
}

/** A connection without its tokens, which are credentials until they expire. */
export function withoutTokens(connection: Connection): Connection {
  return mapSegments(connection, (segment) => ({ ...segment, token: "" }));
}

function mapSegments(connection: Connection, change: (segment: PathSegment) => PathSegment): Connection {
  const { path } = connection;
  return path
    ? { ...connection, path: { ...path, pathSegments: path.pathSegments.map(change) } }
    : connection;
}
