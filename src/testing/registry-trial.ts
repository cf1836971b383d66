import type { NetworkServiceEndpoint } from "../api/index.js";
import {
  Code,
  Context,
  NsmError,
  type ChainElement,
  type Elements,
  type EndpointRegistry,
} from "../core/index.js";
import { registrationState } from "../registry/elements/registration-state/index.js";
import type { ElementSurroundings } from "./element-trial.js";
import { obstacle, type Obstacle } from "./obstacle.js";
import { recorder, type Method } from "./probes.js";
import { runRegistry, type RegistryRun } from "./run.js";
import { refusedWith, suite } from "./suite.js";
import { virtualClock } from "./virtual-clock.js";

/** How a registry element is tried. */
export interface RegistryElementContract {
  /** What stands before it. Default: registration-state. */
  readonly before?: Elements<EndpointRegistry>;
  /** What stands behind it. */
  readonly behind?: Elements<EndpointRegistry>;
  /** The endpoint it is tried with: a patch of the sample. */
  readonly entry?: Partial<NetworkServiceEndpoint>;
  /** The Context it is called in: keys it reads. */
  readonly ctx?: (ctx: Context) => Context;
  /** For one that throws an error of its own with the same code and the first one as `cause`. */
  readonly wrapsErrors?: boolean;
}

/** A chain with the tried element in it, and how a check calls it. */
export interface RegistryTrial extends RegistryRun {
  /** Directly outside of the tried element. */
  readonly outside: Obstacle;
  /** Behind the tried element and what it needs there. */
  readonly behind: Obstacle;
  /** Cancels the call while its Register is downstream, and expects it to fail for that. */
  cancelHalfway(): Promise<void>;
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
export async function tryRegistryElement(
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract,
  check: (trial: RegistryTrial) => Promise<void>,
): Promise<void> {
  const program = new AbortController();
  const trial = registryTrial(factory, contract, program.signal);
  try {
    for (let round = 1; round <= 2; round++) {
      await check(trial);
      await trial.nothingHeld();
    }
  } finally {
    program.abort();
  }
}

function registryTrial(
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract,
  until: AbortSignal,
): RegistryTrial {
  const { expect } = suite();
  const { before = [registrationState()], entry = {}, ctx: enrich = (ctx) => ctx } = contract;
  const clock = virtualClock();
  const ctx = enrich(Context.background({ clock }));
  const [outside, behind, seen] = [obstacle(), obstacle(), recorder()];
  const chain = runRegistry(
    [before, outside, factory({ clock, until }), seen, contract.behind ?? [], behind],
    { clock, ctx },
  );
  const register: RegistryRun["register"] = (patch, c) => chain.register({ ...entry, ...patch }, c);

  return {
    ...chain,
    outside,
    behind,
    register,
    async cancelHalfway() {
      behind.once("register", "waits", Code.Cancelled);
      const caller = new AbortController();
      const call = ctx.withSignal(caller.signal, (c) => register({}, c));
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
