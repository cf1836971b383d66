import type { Subscription } from "rxjs";
import type { Context, Link } from "../core/index.js";
import type { MonitorHub } from "./monitor-hub.js";
import { isStale } from "./monitor-marks.js";
import type { OwnSegment, Sighting } from "./monitor-stream.js";

/** What a Following follows. */
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
 * Follows one connection at its next hop over all its Requests. What is heard while a Request is under way waits
 * for the answer. What was published before that answer is void then: it is about what the connection was.
 */
export class Following {
  private readonly subscription: Subscription;
  private mark: string | undefined;
  private heard: Sighting | undefined;
  private requesting = false;
  private lost = false;
  private stopped = false;

  constructor(private readonly options: FollowingOptions) {
    const { ctx, hub, link, segment } = options;
    this.mark = options.mark;
    this.subscription = hub.follow(ctx, link, segment).subscribe((sighting) => {
      this.lost ||= sighting.lost ?? false;
      if (this.requesting) this.heard = sighting;
      else this.tell(sighting);
    });
    // The hub may have told us something at once that made our owner stop us.
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
    this.heard = undefined;
  }

  /** It was answered, which makes void what was published before; or it failed, and nothing has changed. */
  requestEnds(mark?: string): void {
    this.requesting = false;
    this.mark = mark ?? this.mark;
    const { heard } = this;
    this.heard = undefined;
    if (heard) this.tell(heard);
  }

  stop(): void {
    this.stopped = true;
    // Undefined while the hub speaks within follow().
    (this.subscription as Subscription | undefined)?.unsubscribe();
  }

  private tell(sighting: Sighting): void {
    if (this.stopped || isStale(sighting.mark, this.mark)) return;
    this.options.onSighting(sighting);
  }
}
