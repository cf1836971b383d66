import type { Subscription } from "rxjs";
import { isDeepStrictEqual } from "node:util";
import { pathOf, type Connection, type Path, type PathSegment } from "../../api/index.js";
import type { Context, Link } from "../../core/index.js";
import type { MonitorHub, OwnSegment, Sighting } from "../../outbound/index.js";

/**
 * Follows one connection at its next hop and hands on what is said there. While a Request is under way it only
 * listens: the answer counts, and what was heard last when that is in.
 */
export class Relay {
  private readonly subscription: Subscription;
  private heard: Sighting | undefined;
  private listening = false;
  private lost = false;

  constructor(
    ctx: Context,
    hub: MonitorHub,
    private readonly link: Link,
    private readonly segment: OwnSegment,
    private readonly onSighting: (sighting: Sighting) => void,
  ) {
    this.subscription = hub.follow(ctx, link, segment).subscribe((sighting) => {
      this.lost = sighting.lost ?? false;
      if (this.listening) this.heard = sighting;
      else onSighting(sighting);
    });
  }

  /** Whether this is still the relay for a connection that goes over that link by that segment. */
  serves(link: Link, segment: OwnSegment): boolean {
    return !this.lost && this.link === link && isDeepStrictEqual(this.segment, segment);
  }

  listen(): void {
    this.listening = true;
    this.heard = undefined;
  }

  /** Hands on again what is said; what was said meanwhile too, unless the answer makes that void. */
  speak({ discard }: { discard: boolean }): void {
    this.listening = false;
    const { heard } = this;
    this.heard = undefined;
    if (heard && !discard) this.onSighting(heard);
  }

  stop(): void {
    this.subscription.unsubscribe();
  }
}

/**
 * Our connection with what the next hop says about it: path, context and state. Undefined when that is nothing
 * new. Mechanism, labels and the endpoint's name belong to each hop.
 */
export function relayed(own: Connection, { connection: theirs, state }: Sighting): Connection | undefined {
  if (!theirs?.path) return state === own.state ? undefined : { ...own, state };
  const path = { ...theirs.path, index: pathOf(own).index };
  if (state === own.state && samePath(path, pathOf(own)) && isDeepStrictEqual(theirs.context, own.context)) {
    return undefined;
  }
  return { ...own, state, path, context: theirs.context };
}

// By hand: there is one of these for every event, and a general comparison takes ten times as long.
function samePath({ pathSegments: ones }: Path, { pathSegments: others }: Path): boolean {
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
