import { isDeepStrictEqual } from "node:util";
import { pathOf, State, type Connection, type Path, type PathSegment } from "../../api/index.js";
import { withDownReason } from "./marks.js";
import { type Observation } from "./stream.js";

/**
 * Applies an observation of the next hop to the own connection: path, context and state. Returns undefined if
 * nothing has changed. Mechanism, labels and endpoint name belong to each hop, and the path up to this hop to
 * the earlier hops. Otherwise a peer could change the connection of another client. A reason detected here is
 * in the own segment; a reason detected later comes with the path.
 */
export function relayed(
  own: Connection,
  { connection: theirs, state, cause }: Observation,
): Connection | undefined {
  if (state === State.DOWN && own.state === State.DOWN) return undefined;
  const { index, pathSegments } = pathOf(own);
  const behind = index + 1;
  const updated = theirs?.path
    ? {
        ...own,
        state,
        path: {
          ...theirs.path,
          index,
          pathSegments: [...pathSegments.slice(0, behind), ...theirs.path.pathSegments.slice(behind)],
        },
        context: theirs.context,
      }
    : { ...own, state };
  if (cause?.index === index) return withDownReason(updated, cause.reason);
  if (state === own.state && samePath(pathOf(updated), pathOf(own)) && sameContext(updated, own))
    return undefined;
  return updated;
}

function sameContext(one: Connection, other: Connection): boolean {
  return one.context === other.context || isDeepStrictEqual(one.context, other.context);
}

// Compared field by field, because this runs for every event and a generic comparison takes ten times as long.
function samePath({ pathSegments: ones }: Path, { pathSegments: others }: Path): boolean {
  if (ones === others) return true;
  return ones.length === others.length && ones.every((one, i) => sameSegment(one, others[i]!));
}

function sameSegment(one: PathSegment, other: PathSegment): boolean {
  const metrics = Object.entries(one.metrics);
  return (
    one.id === other.id &&
    one.name === other.name &&
    one.token === other.token &&
    one.expires?.seconds === other.expires?.seconds &&
    one.expires?.nanos === other.expires?.nanos &&
    metrics.length === Object.keys(other.metrics).length &&
    metrics.every(([name, value]) => other.metrics[name] === value)
  );
}
