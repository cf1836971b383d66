/** Selects the calls that a fault hits. An omitted field matches every call. */
export interface FaultFilter {
  /** The name of the calling process. */
  readonly from?: string;
  /** The address of the called process. */
  readonly to?: string;
  /** `Request`, `Find` …, or the full path of a method. */
  readonly method?: string;
  /** How many times the fault strikes at most. Default: unlimited. */
  readonly times?: number;
  /** The probability of each strike, between 0 and 1. Default: 1. */
  readonly chance?: number;
}

/** A delay of messages. */
export interface MessageDelay extends FaultFilter {
  readonly ms: number;
  /** Maximum random addition to `ms`. Messages of one call never overtake each other. Default: 0. */
  readonly jitterMs?: number;
  /** Delays only messages to the server ("there") or only answers ("back"). Default: both. */
  readonly direction?: "there" | "back";
}

/** Removes the fault. Has no effect if the fault is already gone. */
export type RemoveFault = () => void;

/** The faults that can occur between two processes. */
export interface MemoryFaults {
  /**
   * The server does its work, but the connection breaks before the answer. The caller receives UNAVAILABLE.
   */
  dropResponses(where?: FaultFilter): RemoveFault;
  /** The call is canceled while the server works on it. Both sides see CANCELLED. */
  cancelCalls(where?: FaultFilter): RemoveFault;
  /** Cuts the network: calls in progress break on both sides, and new calls fail with UNAVAILABLE. */
  cut(where?: FaultFilter): RemoveFault;
  /** Delays messages, by the clock of the network. */
  delay(delay: MessageDelay): RemoveFault;
  /** Removes all faults. */
  clear(): void;
}

/** A call as the faults see it. */
export interface Route {
  readonly from: string;
  readonly target: string;
  readonly method: string;
}

type Kind = "drop" | "cancel" | "cut" | "delay";

interface Fault {
  readonly kind: Kind;
  readonly where: FaultFilter & { readonly target: string | undefined };
  readonly delay?: MessageDelay;
  left: number;
}

/** The active faults. */
export class Faults implements MemoryFaults {
  private readonly faults = new Set<Fault>();

  constructor(
    private readonly random: () => number,
    private readonly targetOf: (url: string) => string,
    private readonly onCut: () => void,
  ) {}

  get size(): number {
    return this.faults.size;
  }

  dropResponses(where: FaultFilter = {}): RemoveFault {
    return this.add("drop", where);
  }

  cancelCalls(where: FaultFilter = {}): RemoveFault {
    return this.add("cancel", where);
  }

  cut(where: FaultFilter = {}): RemoveFault {
    const undo = this.add("cut", where);
    this.onCut();
    return undo;
  }

  delay(delay: MessageDelay): RemoveFault {
    return this.add("delay", delay, delay);
  }

  clear(): void {
    this.faults.clear();
  }

  /** Whether a fault of that kind strikes now. Counts as one strike. */
  strikes(kind: Exclude<Kind, "delay">, route: Route): boolean {
    return this.matching(kind, route).some((fault) => this.strike(fault));
  }

  /** How long a message takes now, in milliseconds. */
  travelMs(route: Route, direction: "there" | "back"): number {
    return this.matching("delay", route)
      .map((fault) =>
        fault.delay!.direction !== undefined && fault.delay!.direction !== direction ? 0 : this.lasts(fault),
      )
      .reduce((sum, ms) => sum + ms, 0);
  }

  private lasts(fault: Fault): number {
    const { ms, jitterMs = 0 } = fault.delay!;
    return this.strike(fault) ? ms + jitterMs * this.random() : 0;
  }

  private strike(fault: Fault): boolean {
    const { chance = 1 } = fault.where;
    if (chance < 1 && this.random() >= chance) return false;
    if (--fault.left <= 0) this.faults.delete(fault);
    return true;
  }

  private matching(kind: Kind, { from, target, method }: Route): Fault[] {
    return [...this.faults].filter(
      ({ kind: k, where }) =>
        k === kind &&
        (where.from === undefined || where.from === from) &&
        (where.target === undefined || where.target === target) &&
        (where.method === undefined || where.method === method || method.endsWith(`/${where.method}`)),
    );
  }

  private add(kind: Kind, where: FaultFilter, delay?: MessageDelay): RemoveFault {
    const target = where.to === undefined ? undefined : this.targetOf(where.to);
    const fault: Fault = {
      kind,
      where: { ...where, target },
      left: where.times ?? Infinity,
      ...(delay && { delay }),
    };
    this.faults.add(fault);
    return () => void this.faults.delete(fault);
  }
}
