import { randomBytes } from "node:crypto";
import { currentSegment, patchSegment, pathOf, type Connection, type PathSegment } from "../../api/index.js";

// Both marks are metrics of path segments, because every hop, including Go hops, forwards the segments of
// others unchanged, and monitors show them. Go reads only metrics that are integers and skips all others.
const REQUEST = "nsm_request";
const DOWN = "nsm_down";

const reasons = ["unreachable", "unknown", "closed", "refused"] as const;

/**
 * Why a connection is DOWN. The first three reasons are about the hop after the reporting hop: it is
 * `unreachable`, does not know the connection (`unknown`), or has `closed` it. `refused`: the reporting hop
 * itself rejected a Request.
 */
export type DownReason = (typeof reasons)[number];

/** Why a connection is DOWN, and the hop that detected it. */
export interface DownCause {
  readonly reason: DownReason;
  /** Name of the reporting hop in the path. */
  readonly hop: string;
  /** Path index of the reporting hop. */
  readonly index: number;
}

// One counter per process, so that two elements that mark the same segment use ascending numbers.
const life = `r${randomBytes(4).toString("hex")}`;
let requests = 0;

/**
 * Adds a mark of this Request to the current segment. The path of every later event about the connection shows
 * which Request it belongs to.
 */
export function markRequest(connection: Connection): Connection {
  const segment = currentSegment(connection);
  if (!segment) return connection;
  const mark = `${life}-${(++requests).toString(36)}`;
  return patchSegment(connection, pathOf(connection).index, {
    metrics: { ...segment.metrics, [REQUEST]: mark },
  });
}

/** Restores the mark that the Request had on arrival, and so hides the mark of this element from the caller. */
export function restoreMark(answer: Connection, asked: Connection): Connection {
  const segment = currentSegment(answer);
  if (!segment) return answer;
  const { [REQUEST]: _, ...metrics } = segment.metrics;
  const mark = requestMark(currentSegment(asked));
  return patchSegment(answer, pathOf(answer).index, {
    metrics: mark === undefined ? metrics : { ...metrics, [REQUEST]: mark },
  });
}

/** The mark of the Request in a segment, or undefined if its process sets no marks. */
export function requestMark(segment: PathSegment | undefined): string | undefined {
  return segment?.metrics[REQUEST];
}

/**
 * Whether an event was published before the Request `current` was answered: it has the mark of an earlier
 * Request, or of an earlier run of this process. An event without a mark is not stale.
 */
export function isStale(mark: string | undefined, current: string | undefined): boolean {
  if (mark === undefined || current === undefined || mark === current) return false;
  const [theirs, ours] = [mark.split("-"), current.split("-")];
  return theirs[0] !== ours[0] || Number.parseInt(theirs[1]!, 36) < Number.parseInt(ours[1]!, 36);
}

/** The segment without marks, to compare whether a Request has changed it. */
export function withoutMarks(segment: PathSegment): PathSegment {
  const metrics = Object.entries(segment.metrics).filter(([name]) => name !== REQUEST && name !== DOWN);
  return { ...segment, metrics: Object.fromEntries(metrics) };
}

/** Adds the reason to the current segment of the connection. */
export function withDownReason(connection: Connection, reason: DownReason): Connection {
  const { index } = pathOf(connection);
  const metrics = { ...currentSegment(connection)?.metrics, [DOWN]: reason };
  return patchSegment(connection, index, { metrics });
}

/** Why a connection is DOWN, or undefined if no hop reported a cause. Go hops never do. */
export function downCauseOf(connection: Connection): DownCause | undefined {
  const { pathSegments } = pathOf(connection);
  for (const [index, { name, metrics }] of pathSegments.entries()) {
    const reason = reasons.find((known) => known === metrics[DOWN]);
    if (reason) return { reason, hop: name, index };
  }
  return undefined;
}
