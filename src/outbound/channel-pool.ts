import type { CancelTimer } from "../core/index.js";
import { PooledChannel, type ChannelSettings } from "./grpc-channel.js";

/** How long a connection without calls stays open. */
const IDLE_MS = 600_000;

/** How long a channel without calls goes on trying to connect. */
const DIALING_MS = 5_000;

/** What a pool tells its owner. */
export interface PoolOwner {
  /** The life of all remotes. */
  readonly until: AbortSignal;
  /** The pool has a channel from now on. */
  onUsed(): void;
  /** The pool has no channel and holds nothing any more. It may be used again. */
  onReleased(): void;
}

/** The channels to one target: one that takes calls, and older ones whose calls have not ended yet. */
export class ChannelPool {
  private readonly channels = new Set<PooledChannel>();
  private newest: PooledChannel | undefined;
  private cancelRelease: CancelTimer | undefined;

  constructor(
    private readonly settings: ChannelSettings,
    private readonly owner: PoolOwner,
  ) {}

  get url(): string {
    return this.settings.url;
  }

  get closed(): boolean {
    return this.owner.until.aborted;
  }

  /** How many calls are under way. */
  get callCount(): number {
    return [...this.channels].reduce((sum, { callCount }) => sum + callCount, 0);
  }

  /** The channel for a new call; undefined when the remotes are closed. */
  current(): PooledChannel | undefined {
    if (this.closed) return undefined;
    if (this.newest && !this.newest.fresh) this.retire();
    this.cancelRelease?.();
    if (!this.newest) {
      this.newest = new PooledChannel(this.settings, () => this.channelIdle());
      this.channels.add(this.newest);
      this.owner.onUsed();
    }
    return this.newest;
  }

  /** New calls move to a new channel; those under way stay where they are. */
  retire(): void {
    this.newest?.retire();
    this.newest = undefined;
    this.channelIdle();
  }

  close(): void {
    this.cancelRelease?.();
    for (const channel of this.channels) channel.close();
    this.channels.clear();
    this.newest = undefined;
  }

  private channelIdle(): void {
    for (const channel of this.channels) if (channel.done) this.channels.delete(channel);
    this.cancelRelease?.();
    if (this.closed || this.callCount > 0) return;
    if (!this.newest || this.newest.done) return this.release();
    const wait = this.newest.connected ? IDLE_MS : DIALING_MS;
    this.cancelRelease = this.settings.clock.after(wait, () => this.release());
  }

  private release(): void {
    this.close();
    this.owner.onReleased();
  }
}
