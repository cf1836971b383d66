import type { Subscription } from "rxjs";
import type { Context, Remote } from "../../core/index.js";
import type { MonitorHub } from "./hub.js";
import { isStale } from "./marks.js";
import type { OwnSegment, Observation } from "./stream.js";

/** The connection to follow, and the callback for its events. */
export interface FollowingOptions {
  readonly ctx: Context;
  readonly hub: MonitorHub;
  readonly remote: Remote;
  readonly segment: OwnSegment;
  /** The mark of the last successful Request. */
  readonly mark: string | undefined;
  readonly onObservation: (observation: Observation) => void;
}

/**
 * Follows one connection at its next hop across all its Requests. An event that arrives during a Request waits
 * for the answer. An event that the next hop published before that answer is dropped, because it is about the
 * earlier connection.
 */
export class Following {
  private readonly subscription: Subscription;
  private mark: string | undefined;
  private pending: Observation | undefined;
  private requesting = false;
  private lost = false;
  private stopped = false;

  constructor(private readonly options: FollowingOptions) {
    const { ctx, hub, remote, segment } = options;
    this.mark = options.mark;
    this.subscription = hub.follow(ctx, remote, segment).subscribe((observation) => {
      this.lost ||= observation.lost ?? false;
      if (this.requesting) this.pending = observation;
      else this.publish(observation);
    });
    // An event that the hub published at once may have made the owner call stop().
    if (this.stopped) this.subscription.unsubscribe();
  }

  /** Whether this still follows the connection at that remote with that segment. */
  serves(remote: Remote, { index, name, id }: OwnSegment): boolean {
    const { segment } = this.options;
    return (
      !this.lost &&
      this.options.remote === remote &&
      segment.index === index &&
      segment.id === id &&
      segment.name === name
    );
  }

  /** A Request started. */
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

  private publish(observation: Observation): void {
    if (this.stopped || isStale(observation.mark, this.mark)) return;
    this.options.onObservation(observation);
  }
}
