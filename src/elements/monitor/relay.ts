import type { Subscription } from "rxjs";
import { isDeepStrictEqual } from "node:util";
import { pathOf, type Connection } from "../../api/index.js";
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
  const said = theirs?.path
    ? { ...own, state, context: theirs.context, path: { ...theirs.path, index: pathOf(own).index } }
    : { ...own, state };
  const isNew =
    state !== own.state ||
    !isDeepStrictEqual(said.path, own.path) ||
    !isDeepStrictEqual(said.context, own.context);
  return isNew ? said : undefined;
}
