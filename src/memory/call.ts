import {
  asNsmError,
  Code,
  NsmError,
  type CancelTimer,
  type Clock,
  type Context,
  type Peer,
} from "../core/index.js";
import type { TokenGenerator } from "../identity/index.js";
import { callAborted, callFailed } from "../wire/call-error.js";
import type { MemoryAttachments } from "./attachments.js";
import type { Faults, Route } from "./faults.js";

/** What every in-memory call shares: the clock, the faults, and the set of calls in progress. */
export interface Medium {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly calls: Set<MemoryCall>;
}

/** The process that makes the calls. */
export interface MemoryOwner {
  readonly name: string;
  /** How servers see the caller, without its token. */
  readonly peer: Peer;
  readonly tokens: TokenGenerator;
  readonly attachments: MemoryAttachments<object>;
  closed: boolean;
}

/** Origin and destination of a call. */
export interface MemoryRoute extends Route {
  readonly url: string;
  readonly owner: MemoryOwner;
}

/** One call in progress: what both sides still have to do, and how it ends early. */
export class MemoryCall {
  /** The server's side. Aborts when the caller is gone, for any reason. */
  readonly server = new AbortController();
  private readonly timers = new Set<CancelTimer>();
  private readonly lastArrival = { there: 0, back: 0 };
  private readonly abort = (): void => this.giveUp();
  private over = false;

  constructor(
    private readonly medium: Medium,
    private readonly ctx: Context,
    readonly route: MemoryRoute,
    /** Reports the error to the caller, once. */
    private readonly onError: (error: NsmError) => void,
  ) {
    medium.calls.add(this);
    ctx.signal.addEventListener("abort", this.abort, { once: true });
    if (ctx.signal.aborted) this.giveUp();
    else if (route.owner.closed) this.refuse();
    else if (medium.faults.strikes("cut", route)) this.break("the network is cut");
  }

  /** Runs a step on the caller's side. An error thrown by the step ends the call. */
  step(work: () => void): void {
    if (this.over) return;
    try {
      work();
    } catch (error) {
      this.fail(asNsmError(error));
    }
  }

  /** Runs the next step in a microtask. */
  later(work: () => void): void {
    queueMicrotask(() => this.step(work));
  }

  /** Runs the next step when the message arrives. Skips it if the call has ended by then. */
  travel(direction: "there" | "back", work: () => void): void {
    if (this.over) return;
    const { clock, faults } = this.medium;
    const now = clock.now();
    const arrival = Math.max(now + faults.travelMs(this.route, direction), this.lastArrival[direction]);
    this.lastArrival[direction] = arrival;
    // Delivery is never synchronous, even with a travel time of zero: a network lies between.
    if (arrival <= now) return this.later(work);
    const cancel = clock.after(arrival - now, () => {
      this.timers.delete(cancel);
      this.step(work);
    });
    this.timers.add(cancel);
  }

  /** Ends the call successfully. */
  end(): void {
    this.over = true;
    this.medium.calls.delete(this);
    this.ctx.signal.removeEventListener("abort", this.abort);
    for (const cancel of this.timers) cancel();
    this.timers.clear();
  }

  /** Ends the call with an error status from the server or from the network. */
  answerWith(code: number, details: string): void {
    this.fail(callFailed(this.route.method, this.route.url, code, details));
  }

  /** Breaks the connection: neither side hears from the other again. */
  break(why: string): void {
    this.answerWith(Code.Unavailable, why);
  }

  /** Ends the call because the caller's remotes are closed. */
  refuse(): void {
    this.answerWith(Code.Cancelled, "the remotes of this process are closed");
  }

  /** Ends the call because the caller no longer wants the answer. */
  cancel(): void {
    if (this.over) return;
    this.end();
    this.server.abort(new NsmError(Code.Cancelled, "the caller canceled the call"));
  }

  private giveUp(): void {
    const reason = asNsmError(this.ctx.signal.reason);
    this.fail(callAborted(this.route.method, this.route.url, reason), reason.code);
  }

  private fail(error: NsmError, code: Code = Code.Cancelled): void {
    if (this.over) return;
    this.end();
    const why =
      code === Code.DeadlineExceeded ? "the caller's deadline passed" : "the caller canceled the call";
    this.server.abort(new NsmError(code, why));
    this.onError(error);
  }
}
