import type { NetworkServiceEndpoint } from "../api/index.js";
import { Code, Context, type ChainElement, type Elements, type EndpointRegistry } from "../core/index.js";
import { registrationState } from "../registry/elements/registration-state/index.js";
import type { ElementSurroundings } from "./element-trial.js";
import { obstacle, type Obstacle } from "./obstacle.js";
import { recorder } from "./probes.js";
import { runRegistry, type RegistryRun } from "./run.js";
import { cancelWaiting, trialChecks, tryTwice, type Trial } from "./trial.js";
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
export interface RegistryTrial extends RegistryRun, Trial {
  /** Directly outside of the tried element. */
  readonly outside: Obstacle;
  /** Behind the tried element and what it needs there. */
  readonly behind: Obstacle;
  /** Cancels the call while its Register is downstream, and expects it to fail for that. */
  cancelHalfway(): Promise<void>;
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
  await tryTwice((until) => registryTrial(factory, contract, until), check);
}

function registryTrial(
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract,
  until: AbortSignal,
): RegistryTrial {
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
    ...trialChecks({ clock, seen, wrapsErrors: contract.wrapsErrors, leftovers: () => chain.leftovers() }),
    outside,
    behind,
    register,
    async cancelHalfway() {
      behind.once("register", "waits", Code.Cancelled);
      await cancelWaiting(clock, (signal) => ctx.withSignal(signal, (c) => register({}, c)));
    },
  };
}
