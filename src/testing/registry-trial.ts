import type { NetworkServiceEndpoint } from "../api/index.js";
import { Code, Context, type ChainElement, type Elements, type EndpointRegistry } from "../core/index.js";
import { registrationState } from "../registry/elements/registration-state/index.js";
import type { ElementSurroundings } from "./element-trial.js";
import { obstacle, type Obstacle } from "./obstacle.js";
import { recorder } from "./probes.js";
import { runRegistry, type RegistryRun } from "./run.js";
import { cancelWaiting, trialChecks, tryTwice, type Trial } from "./trial.js";
import { virtualClock } from "./virtual-clock.js";

/** How to test a registry element. */
export interface RegistryElementContract {
  /** The elements before it. Default: registration-state. */
  readonly before?: Elements<EndpointRegistry>;
  /** The elements behind it. Default: none. */
  readonly behind?: Elements<EndpointRegistry>;
  /** The endpoint to test with, as a patch of the sample. */
  readonly entry?: Partial<NetworkServiceEndpoint>;
  /** Adds the Context keys that the element reads. */
  readonly ctx?: (ctx: Context) => Context;
  /**
   * Whether the element wraps errors: throws its own, with the same code and the original as `cause`.
   * Default: false.
   */
  readonly wrapsErrors?: boolean;
}

/** A chain with the tested element, and the calls that a check makes. */
export interface RegistryTrial extends RegistryRun, Trial {
  /** Directly outside of the tested element. */
  readonly outside: Obstacle;
  /** Behind the tested element and the elements that it needs there. */
  readonly behind: Obstacle;
  /** Cancels the call while its Register is downstream, and expects it to fail with CANCELLED. */
  cancelHalfway(): Promise<void>;
}

/**
 * Tests an element in its own program. `check` runs twice, and nothing may be held after either run. Anything
 * that the first run leaves behind affects the second.
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
