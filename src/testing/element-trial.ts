import type { Connection, NetworkServiceRequest } from "../api/index.js";
import {
  Code,
  Context,
  NsmError,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../core/index.js";
import { connectionState } from "../elements/connection-state/index.js";
import { beginServer } from "../elements/begin/index.js";
import { updatePath } from "../elements/update-path/index.js";
import { sampleRequest } from "./messages.js";
import { obstacle, outsideOf, type Obstacle } from "./obstacle.js";
import { recorder, type Method } from "./probes.js";
import { run, type Run } from "./run.js";
import { refusedWith, suite } from "./suite.js";
import { virtualClock, type VirtualClock } from "./virtual-clock.js";

/** What a factory may need to make an element for one test. */
export interface ElementSurroundings {
  readonly clock: VirtualClock;
  /** The life of the program the element is in; over when the test is. */
  readonly until: AbortSignal;
}

/** How an element is tried. */
export interface ElementContract {
  /** What stands before it. Default: update-path, begin and connection-state of a server. */
  readonly before?: Elements<NetworkService>;
  /** What stands behind it: something it needs to see in an answer, say. */
  readonly behind?: Elements<NetworkService>;
  /** The Request it is tried with, made from the sample. */
  readonly request?: (sample: NetworkServiceRequest) => NetworkServiceRequest;
  /** The Context it is called in: keys it reads. */
  readonly ctx?: (ctx: Context) => Context;
  /** For one that throws an error of its own with the same code and the first one as `cause`. */
  readonly wrapsErrors?: boolean;
}

/** A chain with the tried element in it, and how a check calls it. */
export interface ElementTrial extends Run {
  /** Directly outside of the tried element. */
  readonly outside: Obstacle;
  /** Outside of connection-state. */
  readonly outermost: Obstacle;
  /** Behind the tried element and what it needs there. */
  readonly behind: Obstacle;
  ask(patch?: Partial<Connection>, signal?: AbortSignal): Promise<Connection>;
  /** A refresh as a caller sends it: with what it was given. */
  again(connection: Connection, signal?: AbortSignal): Promise<Connection>;
  /** Cancels the call while its Request is downstream, and expects it to fail for that. */
  cancelHalfway(call: (signal: AbortSignal) => Promise<unknown>): Promise<void>;
  /** Expects a call to fail as an obstacle failed it. */
  refused(call: Promise<unknown>, code: Code): Promise<void>;
  /** The calls of the element that arrive behind it while `work` runs. */
  arriving(work: () => Promise<void>): Promise<readonly Method[]>;
  /** Waits until everything rests, and expects that nothing is held. */
  nothingHeld(): Promise<void>;
}

/**
 * Tries an element in a program of its own. `check` runs twice, and nothing may be held after each time: what
 * the first round keeps the second one meets.
 */
export async function tryElement(
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract,
  check: (trial: ElementTrial) => Promise<void>,
): Promise<void> {
  const program = new AbortController();
  const trial = elementTrial(factory, contract, program.signal);
  try {
    for (let round = 1; round <= 2; round++) {
      await check(trial);
      await trial.nothingHeld();
    }
  } finally {
    program.abort();
  }
}

function elementTrial(
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract,
  until: AbortSignal,
): ElementTrial {
  const { expect } = suite();
  const { request: prepare = (sample) => sample, ctx: enrich = (ctx) => ctx } = contract;
  const before = contract.before ?? [updatePath({ name: "hop" }), beginServer(), connectionState()];
  const clock = virtualClock();
  const ctx = enrich(Context.background({ clock }));
  const [outermost, outside, behind, seen] = [obstacle(), obstacle(), obstacle(), recorder()];
  const chain = run(
    [
      outsideOf("connection-state", outermost, before),
      outside,
      factory({ clock, until }),
      seen,
      contract.behind ?? [],
      behind,
    ],
    { clock, ctx },
  );
  const send = (request: NetworkServiceRequest, signal?: AbortSignal): Promise<Connection> =>
    signal ? ctx.withSignal(signal, (c) => chain.send(request, c)) : chain.send(request, ctx);

  return {
    ...chain,
    outside,
    outermost,
    behind,
    ask: (patch, signal) => send(prepare(sampleRequest(clock.now(), patch)), signal),
    again: (connection, signal) => send({ ...prepare(sampleRequest(clock.now())), connection }, signal),
    async cancelHalfway(start) {
      behind.once("request", "waits", Code.Cancelled);
      const caller = new AbortController();
      const call = start(caller.signal);
      // Whoever rejects early must not be taken for an unhandled rejection.
      call.catch(() => {});
      await clock.settle();
      caller.abort(new NsmError(Code.Cancelled, "the caller went away"));
      await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
    },
    refused: (call, code) => refusedWith(call, code, contract.wrapsErrors ?? false),
    async arriving(work) {
      const earlier = seen.calls.length;
      await work();
      return seen.calls.slice(earlier);
    },
    async nothingHeld() {
      await clock.settle();
      expect(chain.leftovers(), "what is left behind").toEqual({});
    },
  };
}
