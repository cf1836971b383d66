import { PooledChannel, type ChannelSettings } from "./grpc-channel.js";

/** The channels to one target: one that takes calls, and older ones whose calls have not ended yet. */
export class ChannelPool {
  private readonly channels = new Set<PooledChannel>();
  private newest: PooledChannel | undefined;
  private over = false;

  constructor(private readonly settings: ChannelSettings) {}

  get url(): string {
    return this.settings.url;
  }

  get closed(): boolean {
    return this.over;
  }

  /** How many calls are under way. */
  get callCount(): number {
    return [...this.channels].reduce((sum, { callCount }) => sum + callCount, 0);
  }

  /** The channel for a new call; undefined when the pool is closed. */
  current(): PooledChannel | undefined {
    if (this.over) return undefined;
    if (this.newest && !this.newest.fresh) this.retire();
    if (!this.newest) {
      this.newest = new PooledChannel(this.settings);
      this.channels.add(this.newest);
    }
    return this.newest;
  }

  /** New calls move to a new channel; those under way stay where they are. */
  retire(): void {
    this.newest?.retire();
    this.newest = undefined;
    for (const channel of this.channels) if (channel.done) this.channels.delete(channel);
  }

  close(): void {
    this.over = true;
    for (const channel of this.channels) channel.close();
    this.channels.clear();
    this.newest = undefined;
  }
}
