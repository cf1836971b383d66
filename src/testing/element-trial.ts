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

/** What a factory may need to create an element for one test. */
export interface ElementSurroundings {
  readonly clock: VirtualClock;
  /** The lifetime of the element's program. Aborts at the end of the test. */
  readonly until: AbortSignal;
}

/** How to test an element. */
export interface ElementContract {
  /** The elements before it. Default: update-path, begin and connection-state of a server. */
  readonly before?: Elements<NetworkService>;
  /** The elements behind it, for example one that adds what it needs to the answer. Default: none. */
  readonly behind?: Elements<NetworkService>;
  /** Creates the Request to test with from the sample. Default: the sample. */
  readonly request?: (sample: NetworkServiceRequest) => NetworkServiceRequest;
  /** Adds the Context keys that the element reads. */
  readonly ctx?: (ctx: Context) => Context;
  /**
   * Whether the element wraps errors: throws its own, with the same code and the original as `cause`.
   * Default: false.
   */
  readonly wrapsErrors?: boolean;
}

/** A chain with the tested element, and the calls that a check makes. */
export interface ElementTrial extends Run, Trial {
  /** Directly outside of the tested element. */
  readonly outside: Obstacle;
  /** Outside of connection-state. */
  readonly outermost: Obstacle;
  /** Behind the tested element and the elements that it needs there. */
  readonly behind: Obstacle;
  ask(patch?: Partial<Connection>, signal?: AbortSignal): Promise<Connection>;
  /** Sends a refresh with the connection that the caller was given. */
  again(connection: Connection, signal?: AbortSignal): Promise<Connection>;
  /** Cancels the call while its Request is downstream, and expects it to fail with CANCELLED. */
  cancelHalfway(call: (signal: AbortSignal) => Promise<unknown>): Promise<void>;
}

/**
 * Tests an element in its own program. `check` runs twice, and nothing may be held after either run. Anything
 * that the first run leaves behind affects the second.
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
