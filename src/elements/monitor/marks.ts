import { randomBytes } from "node:crypto";
import { currentSegment, patchSegment, pathOf, type Connection, type PathSegment } from "../../api/index.js";

// Both marks are metrics of path segments: every hop, Go's too, passes on the segments of others as they are,
// and monitors show them. Go counts metrics that are integers and skips all others.
const REQUEST = "nsm_request";
const DOWN = "nsm_down";

const reasons = ["unreachable", "unknown", "closed", "refused"] as const;

/**
 * Why a connection is DOWN. The first three are about the hop behind the one that says so: it is `unreachable`,
 * does not know the connection (`unknown`), or has `closed` it. `refused`: the hop itself refused a Request.
 */
export type DownReason = (typeof reasons)[number];

/** Why a connection is DOWN, and who noticed. */
export interface DownCause {
  readonly reason: DownReason;
  /** The process that noticed, by its name in the path. */
  readonly hop: string;
  /** Its place on the path. */
  readonly index: number;
}

// One counter for the process, so that two elements that mark the same segment use ascending numbers.
const life = `r${randomBytes(4).toString("hex")}`;
let requests = 0;

/**
 * The connection with a mark of this Request in the current segment. The path of every later event about the
 * connection shows which Request it comes from.
 */
export function markRequest(connection: Connection): Connection {
  const segment = currentSegment(connection);
  if (!segment) return connection;
  const mark = `${life}-${(++requests).toString(36)}`;
  return patchSegment(connection, pathOf(connection).index, {
    metrics: { ...segment.metrics, [REQUEST]: mark },
  });
}

/** The answer with the mark that the Request had when it came: hides the mark that this element set. */
export function restoreMark(answer: Connection, asked: Connection): Connection {
  const segment = currentSegment(answer);
  if (!segment) return answer;
  const { [REQUEST]: _, ...metrics } = segment.metrics;
  const mark = requestMark(currentSegment(asked));
  return patchSegment(answer, pathOf(answer).index, {
    metrics: mark === undefined ? metrics : { ...metrics, [REQUEST]: mark },
  });
}

/** The mark of the Request that a path comes from; undefined when its caller sets none. */
export function requestMark(segment: PathSegment | undefined): string | undefined {
  return segment?.metrics[REQUEST];
}

/**
 * Whether an event was published before the Request `current` was answered: it carries the mark of an earlier
 * Request, or of an earlier life of this process. Nothing is known of an event without a mark.
 */
export function isStale(mark: string | undefined, current: string | undefined): boolean {
  if (mark === undefined || current === undefined || mark === current) return false;
  const [theirs, ours] = [mark.split("-"), current.split("-")];
  return theirs[0] !== ours[0] || Number.parseInt(theirs[1]!, 36) < Number.parseInt(ours[1]!, 36);
}

/** The segment without marks, to compare whether a Request has changed anything. */
export function withoutMarks(segment: PathSegment): PathSegment {
  const metrics = Object.entries(segment.metrics).filter(([name]) => name !== REQUEST && name !== DOWN);
  return { ...segment, metrics: Object.fromEntries(metrics) };
}

/** The connection with the reason in the current segment: noticed here. */
export function withDownReason(connection: Connection, reason: DownReason): Connection {
  const { index } = pathOf(connection);
  const metrics = { ...currentSegment(connection)?.metrics, [DOWN]: reason };
  return patchSegment(connection, index, { metrics });
}

/** Why a connection is DOWN; undefined if no hop reported a cause, as Go hops never do. */
export function downCauseOf(connection: Connection): DownCause | undefined {
  const { pathSegments } = pathOf(connection);
  for (const [index, { name, metrics }] of pathSegments.entries()) {
    const reason = reasons.find((known) => known === metrics[DOWN]);
    if (reason) return { reason, hop: name, index };
  }
  return undefined;
}
