import { explain, type Clock, type Logger, type NsmError } from "../core/index.js";
import { withoutSecrets } from "../wire/status.js";

/** How long the log reports nothing more about a peer. */
const QUIET_MS = 60_000;

/** How many peers the log remembers; the oldest are forgotten first. */
const MOST_PEERS = 1_000;

/** Logs who was refused and why: one line per peer and minute, however often the peer tries. */
export class RefusalLog {
  private readonly quiet = new Map<string, { readonly until: number; unlogged: number }>();

  constructor(
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  /** @param peer the peer's address without its port */
  report(peer: string, refusal: NsmError): void {
    const now = this.clock.now();
    const before = this.quiet.get(peer);
    if (before && now < before.until) {
      before.unlogged++;
      return;
    }
    this.quiet.delete(peer);
    this.quiet.set(peer, { until: now + QUIET_MS, unlogged: 0 });
    if (this.quiet.size > MOST_PEERS) this.quiet.delete(this.quiet.keys().next().value!);
    const error = withoutSecrets(explain(refusal));
    const unlogged = before?.unlogged ? { unlogged: before.unlogged } : {};
    this.logger.warn({ peer, error, ...unlogged }, "a connection or call was refused");
  }
}
