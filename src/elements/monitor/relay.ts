import { isDeepStrictEqual } from "node:util";
import { pathOf, State, type Connection, type Path, type PathSegment } from "../../api/index.js";
import { withDownReason } from "./marks.js";
import { type Observation } from "./stream.js";

/**
 * Our connection with what the next hop says about it: path, context and state. Undefined when that is nothing
 * new. Mechanism, labels and the endpoint's name belong to each hop, and the path up to here to those before: a peer
 * could speak about the connection of another client there. A reason that was noticed here stands in our own segment;
 * one that was noticed further on comes with the path.
 */
export function relayed(
  own: Connection,
  { connection: theirs, state, cause }: Observation,
): Connection | undefined {
  if (state === State.DOWN && own.state === State.DOWN) return undefined;
  const { index, pathSegments } = pathOf(own);
  const behind = index + 1;
  const told = theirs?.path
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
  if (cause?.index === index) return withDownReason(told, cause.reason);
  if (state === own.state && samePath(pathOf(told), pathOf(own)) && sameContext(told, own)) return undefined;
  return told;
}

function sameContext(one: Connection, other: Connection): boolean {
  return one.context === other.context || isDeepStrictEqual(one.context, other.context);
}

// By hand: there is one of these for every event, and a general comparison takes ten times as long.
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
