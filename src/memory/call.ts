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

/** What a call over memory takes part in. */
export interface Medium {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly calls: Set<MemoryCall>;
}

/** Whose calls they are. */
export interface MemoryOwner {
  readonly name: string;
  /** How servers see it, but for the token. */
  readonly peer: Peer;
  readonly tokens: TokenGenerator;
  readonly attachments: MemoryAttachments<object>;
  closed: boolean;
}

/** From where to where. */
export interface MemoryRoute extends Route {
  readonly url: string;
  readonly owner: MemoryOwner;
}

/** One call under way: what either side still has to do with it, and how it ends before its time. */
export class MemoryCall {
  /** The server's side: aborts when the caller is gone, for whatever reason. */
  readonly server = new AbortController();
  private readonly timers = new Set<CancelTimer>();
  private readonly lastArrival = { there: 0, back: 0 };
  private readonly abort = (): void => this.giveUp();
  private over = false;

  constructor(
    private readonly medium: Medium,
    private readonly ctx: Context,
    readonly route: MemoryRoute,
    /** Tells the caller, once. */
    private readonly onError: (error: NsmError) => void,
  ) {
    medium.calls.add(this);
    ctx.signal.addEventListener("abort", this.abort, { once: true });
    if (ctx.signal.aborted) this.giveUp();
    else if (route.owner.closed) this.refuse();
    else if (medium.faults.strikes("cut", route)) this.break("no way through");
  }

  /** Runs a step on the caller's side; what it throws ends the call. */
  step(work: () => void): void {
    if (this.over) return;
    try {
      work();
    } catch (error) {
      this.fail(asNsmError(error));
    }
  }

  /** Does the next step as soon as what runs now is done. */
  later(work: () => void): void {
    queueMicrotask(() => this.step(work));
  }

  /** Does the next step when the message has travelled; never if the call is over by then. */
  travel(direction: "there" | "back", work: () => void): void {
    if (this.over) return;
    const { clock, faults } = this.medium;
    const now = clock.now();
    const arrival = Math.max(now + faults.travelMs(this.route, direction), this.lastArrival[direction]);
    this.lastArrival[direction] = arrival;
    // Never within the call that sends: there is a network between, even when it takes no time.
    if (arrival <= now) return this.later(work);
    const cancel = clock.after(arrival - now, () => {
      this.timers.delete(cancel);
      this.step(work);
    });
    this.timers.add(cancel);
  }

  /** It is over and all went well. */
  end(): void {
    this.over = true;
    this.medium.calls.delete(this);
    this.ctx.signal.removeEventListener("abort", this.abort);
    for (const cancel of this.timers) cancel();
    this.timers.clear();
  }

  /** The server, or the way to it, said no. */
  answerWith(code: number, details: string): void {
    this.fail(callFailed(this.route.method, this.route.url, code, details));
  }

  /** The connection broke: neither side hears of the other again. */
  break(why: string): void {
    this.answerWith(Code.Unavailable, why);
  }

  /** The caller's remotes are closed. */
  refuse(): void {
    this.answerWith(Code.Cancelled, "the remotes of this process were closed");
  }

  /** The caller does not want it any more, and needs no answer. */
  cancel(): void {
    if (this.over) return;
    this.end();
    this.server.abort(new NsmError(Code.Cancelled, "the caller hung up"));
  }

  private giveUp(): void {
    const reason = asNsmError(this.ctx.signal.reason);
    this.fail(callAborted(this.route.method, this.route.url, reason), reason.code);
  }

  private fail(error: NsmError, code: Code = Code.Cancelled): void {
    if (this.over) return;
    this.end();
    const why = code === Code.DeadlineExceeded ? "the caller's time is over" : "the caller hung up";
    this.server.abort(new NsmError(code, why));
    this.onError(error);
  }
}
