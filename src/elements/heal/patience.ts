import { fromTimestamp, pathOf, type Connection } from "../../api/index.js";
import { Code, type Clock } from "../../core/index.js";
import type { DownCause } from "../monitor/index.js";

/** How long endpoints and forwarders may take to register again with a restarted manager, in milliseconds. */
const AFTER_RETURN_MS = 15_000;

/** The lost connection, the cause, and how long to keep the endpoint. */
export interface PatienceOptions {
  readonly connection: Connection;
  readonly cause: DownCause | undefined;
  readonly keepEndpointMs: number;
  readonly clock: Clock;
}

/** The result of a failed Request for the same endpoint. */
export interface FailedTry {
  readonly code: Code;
  /** Whether packets passed before it; undefined without a liveness check. */
  readonly alive: boolean | undefined;
  /** Whether the next hop answers. */
  readonly reachable: boolean;
}

/**
 * Decides when to select another endpoint because Requests for the current one fail:
 *
 * - The next hop is unreachable: never, because only the next hop leads to another endpoint. This time does not
 *   count.
 * - The endpoint is lost, or no hop reported a cause: at once if it is no longer registered or there is no
 *   liveness check. Otherwise after `keepEndpointMs`, because its interface may still answer.
 * - A hop in between is lost, and packets pass: `keepEndpointMs` after tokens expire, because the hops then
 *   close the connection. Without a liveness check: after `keepEndpointMs`, or after 15 s if the next hop has
 *   restarted.
 */
export class Patience {
  private readonly atEndpoint: boolean;
  private readonly keepMs: number;
  private readonly leaseEnds: number;
  private lookedAt: number;
  private spentMs = 0;

  constructor(private readonly options: PatienceOptions) {
    const struck = struckPlace(options);
    const { index, pathSegments } = pathOf(options.connection);
    this.atEndpoint = struck === undefined || struck >= pathSegments.length - 1;
    const isBack = !this.atEndpoint && struck === index + 1;
    this.keepMs = isBack ? Math.max(options.keepEndpointMs, AFTER_RETURN_MS) : options.keepEndpointMs;
    this.leaseEnds = leaseEndOf(options.connection);
    this.lookedAt = options.clock.now();
  }

  /** Whether to select another endpoint after one more failed try. */
  isOver({ code, alive, reachable }: FailedTry): boolean {
    const now = this.options.clock.now();
    const passed = now - this.lookedAt;
    this.lookedAt = now;
    if (!reachable) return false;
    if (this.atEndpoint && (code === Code.NotFound || alive === undefined)) return true;
    if (this.atEndpoint || !alive || now >= this.leaseEnds) this.spentMs += passed;
    return this.spentMs >= this.keepMs;
  }
}

/** The path index of the lost hop, or undefined if no hop reported it. */
function struckPlace({ cause }: PatienceOptions): number | undefined {
  return cause && (cause.reason === "refused" ? cause.index : cause.index + 1);
}

function leaseEndOf(connection: Connection): number {
  const expiries = pathOf(connection).pathSegments.flatMap(({ expires }) =>
    expires ? [fromTimestamp(expires)] : [],
  );
  return Math.min(...expiries);
}
