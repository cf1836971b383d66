import type { Connection, NetworkServiceRequest } from "../api/index.js";
import {
  Code,
  Context,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../core/index.js";
import { connectionState } from "../elements/connection-state/index.js";
import { beginServer } from "../elements/begin/index.js";
import { updatePath } from "../elements/update-path/index.js";
import { sampleRequest } from "./messages.js";
import { obstacle, outsideOf, type Obstacle } from "./obstacle.js";
import { recorder } from "./probes.js";
import { run, type Run } from "./run.js";
import { cancelWaiting, trialChecks, tryTwice, type Trial } from "./trial.js";
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
export interface ElementTrial extends Run, Trial {
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
  await tryTwice((until) => elementTrial(factory, contract, until), check);
}

function elementTrial(
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract,
  until: AbortSignal,
): ElementTrial {
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
    ...trialChecks({ clock, seen, wrapsErrors: contract.wrapsErrors, leftovers: () => chain.leftovers() }),
    outside,
    outermost,
    behind,
    ask: (patch, signal) => send(prepare(sampleRequest(clock.now(), patch)), signal),
    again: (connection, signal) => send({ ...prepare(sampleRequest(clock.now())), connection }, signal),
    async cancelHalfway(start) {
      behind.once("request", "waits", Code.Cancelled);
      await cancelWaiting(clock, start);
    },
  };
}
