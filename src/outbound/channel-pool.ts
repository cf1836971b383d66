import type { CancelTimer } from "../core/index.js";
import { PooledChannel, type ChannelSettings } from "./grpc-channel.js";

/** Time after which a connection without calls is closed, in milliseconds. */
const IDLE_MS = 600_000;

/** How long a channel without calls keeps trying to connect, in milliseconds. */
const DIALING_MS = 5_000;

/** Callbacks to the owner of a pool. */
export interface PoolOwner {
  /** Aborts when all remotes are closed. */
  readonly until: AbortSignal;
  /** Called when the pool opens its first channel. */
  onUsed(): void;
  /** Called when the pool has released its last channel. It can be used again. */
  onReleased(): void;
}

/** The channels to one target: the current one, and older ones whose calls have not ended yet. */
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

  /** The number of calls in progress. */
  get callCount(): number {
    return [...this.channels].reduce((sum, { callCount }) => sum + callCount, 0);
  }

  /** Returns the channel for a new call, or undefined if the remotes are closed. */
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

  /** Moves new calls to a new channel. Calls in progress keep theirs. */
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
