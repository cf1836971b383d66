import type { Subscription } from "rxjs";
import type { Context, Link } from "../core/index.js";
import type { MonitorHub } from "./monitor-hub.js";
import { isStale } from "./monitor-marks.js";
import type { OwnSegment, Sighting } from "./monitor-stream.js";

/** The connection to follow, and the callback for its events. */
export interface FollowingOptions {
  readonly ctx: Context;
  readonly hub: MonitorHub;
  readonly link: Link;
  readonly segment: OwnSegment;
  /** The mark of the Request that was answered last. */
  readonly mark: string | undefined;
  readonly onSighting: (sighting: Sighting) => void;
}

/**
 * Follows one connection at its next hop over all its Requests. An event that arrives during a Request waits for the
 * answer. If the next hop published it before that answer, it is dropped, because it is about the earlier connection.
 */
export class Following {
  private readonly subscription: Subscription;
  private mark: string | undefined;
  private pending: Sighting | undefined;
  private requesting = false;
  private lost = false;
  private stopped = false;

  constructor(private readonly options: FollowingOptions) {
    const { ctx, hub, link, segment } = options;
    this.mark = options.mark;
    this.subscription = hub.follow(ctx, link, segment).subscribe((sighting) => {
      this.lost ||= sighting.lost ?? false;
      if (this.requesting) this.pending = sighting;
      else this.publish(sighting);
    });
    // An event that the hub published at once may have made the owner call stop().
    if (this.stopped) this.subscription.unsubscribe();
  }

  /** Whether this still follows a connection that goes over that link by that segment. */
  serves(link: Link, { index, name, id }: OwnSegment): boolean {
    const { segment } = this.options;
    return (
      !this.lost &&
      this.options.link === link &&
      segment.index === index &&
      segment.id === id &&
      segment.name === name
    );
  }

  /** A Request is under way. */
  requestBegins(): void {
    this.requesting = true;
    this.pending = undefined;
  }

  /** The Request ended. If it succeeded, `mark` is its mark, and events with earlier ones are dropped. */
  requestEnds(mark?: string): void {
    this.requesting = false;
    this.mark = mark ?? this.mark;
    const { pending } = this;
    this.pending = undefined;
    if (pending) this.publish(pending);
  }

  stop(): void {
    this.stopped = true;
    // Undefined while follow() publishes the first events.
    (this.subscription as Subscription | undefined)?.unsubscribe();
  }

  private publish(sighting: Sighting): void {
    if (this.stopped || isStale(sighting.mark, this.mark)) return;
    this.options.onSighting(sighting);
  }
}
