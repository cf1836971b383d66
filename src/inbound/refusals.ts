import { explain, type Clock, type Logger, type NsmError } from "../core/index.js";
import { withoutSecrets } from "../wire/status.js";

/** Minimum time between two log lines about one peer. */
const QUIET_MS = 60_000;

/** Maximum number of peers to remember. The oldest is dropped first. */
const MOST_PEERS = 1_000;

/** Logs refused callers and the reason: at most one line per peer and minute. */
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
