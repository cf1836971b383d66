import { fromTimestamp, pathOf, type Connection } from "../../api/index.js";
import { Code, type Clock } from "../../core/index.js";
import type { DownCause } from "../../outbound/index.js";

/** A manager that is back learns only by and by who is registered. */
const AFTER_RETURN_MS = 15_000;

/** What is lost, and for how long the endpoint is kept. */
export interface PatienceOptions {
  readonly connection: Connection;
  readonly cause: DownCause | undefined;
  readonly keepEndpointMs: number;
  readonly clock: Clock;
}

/** What a try to ask the same endpoint again has shown. */
export interface FailedTry {
  readonly code: Code;
  /** Whether packets passed before it; undefined when nothing tells. */
  readonly alive: boolean | undefined;
  /** Whether the next hop answers. */
  readonly reachable: boolean;
}

/**
 * Decides when to let go of an endpoint that is asked again without success:
 *
 * - While the next hop is away: never. Nobody is there to lead us to another endpoint, and that time does not count.
 * - The endpoint itself is lost, or nobody says what is: at once when it is not registered any more, and when
 *   nothing tells whether packets pass; else after `keepEndpointMs`. Its interface may answer for ever.
 * - A hop between is lost: while packets pass, as long as tokens hold and then for `keepEndpointMs`, since the hops
 *   give the connection up when tokens expire; when nothing tells whether packets pass, after `keepEndpointMs`,
 *   or 15 s when it is the next hop that has come back.
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

  /** Whether to let go now that one more try has failed. */
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

/** The place on the path of the hop that is lost; undefined when nobody has told. */
function struckPlace({ cause }: PatienceOptions): number | undefined {
  return cause && (cause.reason === "refused" ? cause.index : cause.index + 1);
}

function leaseEndOf(connection: Connection): number {
  const expiries = pathOf(connection).pathSegments.flatMap(({ expires }) =>
    expires ? [fromTimestamp(expires)] : [],
  );
  return Math.min(...expiries);
}
