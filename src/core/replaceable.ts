import { debugState, flatten, type ChainElement, type DebugState, type Elements } from "./element.js";
import { chain, type NetworkService, type NetworkServiceElement } from "./services.js";
import { Slot } from "./slot.js";
import type { StateKeeper } from "./state-store.js";

/** A part of a chain that can be replaced while connections stand. */
export interface Replaceable {
  /** Stands in the chain in place of the elements. After the connectionState() it was made with. */
  readonly element: NetworkServiceElement;
  /** What the elements hold, and under `replaced` what is still held of earlier ones. */
  debugState(): DebugState;
  /**
   * Replaces the elements. Calls under way finish on the earlier ones, later calls use the new ones. A slot of an
   * earlier element hands its values to the slot of the same name in a new one; what none takes over is released
   * when the next Request of its connection has succeeded, or with the connection.
   *
   * @throws NsmError FAILED_PRECONDITION when the new elements cannot stand in this place; nothing has changed then
   */
  replace(elements: Elements<NetworkService>): void;
}

/** One set of elements and the calls that run through it. */
interface Generation {
  readonly list: readonly ChainElement<NetworkService>[];
  readonly road: (next: NetworkService) => NetworkService;
}

/**
 * Elements that a running program can exchange. `around` are the elements outside of them: new elements are
 * checked against these, as when a chain is built.
 *
 * @example
 * const state = connectionState();
 * const before = [updatePath({ name }), beginServer(), state];
 * const functions = replaceable([firewall(rules), pointToPointIpam({ prefixes })], { state, around: before });
 * const service = chain([...before, functions.element]);
 * functions.replace([firewall(otherRules), pointToPointIpam({ prefixes })]);
 */
export function replaceable(
  elements: Elements<NetworkService>,
  { state, around }: { readonly state: StateKeeper; readonly around: Elements<NetworkService> },
): Replaceable {
  const generation = (own: Elements<NetworkService>): Generation => {
    // Only to check the order: what it links is thrown away.
    chain([around, own]);
    return { list: flatten(own), road: chain.nest(own) };
  };
  let current = generation(elements);
  // Earlier elements that connections still hold something of.
  const retired = new Set<ChainElement<NetworkService>>();

  const stillHeld = (): DebugState => {
    for (const element of retired)
      if (Object.keys(debugState([element])).length === 0) retired.delete(element);
    return debugState([...retired]);
  };

  return {
    element: {
      name: "replaceable",
      request: (ctx, request, next) => current.road(next).request(ctx, request),
      close: (ctx, connection, next) => current.road(next).close(ctx, connection),
    },
    debugState() {
      const earlier = stillHeld();
      return { ...debugState(current.list), ...(Object.keys(earlier).length > 0 && { replaced: earlier }) };
    },
    replace(own) {
      const earlier = current;
      current = generation(own);
      state.exchange(slotsOf(earlier.list), slotsOf(current.list));
      for (const element of earlier.list) retired.add(element);
      for (const element of current.list) retired.delete(element);
      stillHeld();
    },
  };
}

/** The slots that elements keep, those of nested chains included. */
function slotsOf(list: readonly ChainElement<NetworkService>[]): readonly Slot<unknown>[] {
  return list.flatMap(({ provides = [], nested = [] }) => [
    ...provides.filter((provision) => provision instanceof Slot),
    ...nested.flatMap((elements) => slotsOf(flatten(elements))),
  ]);
}
