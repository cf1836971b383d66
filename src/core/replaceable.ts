import { debugState, flatten, type ChainElement, type DebugState, type Elements } from "./element.js";
import { chain, type NetworkService, type NetworkServiceElement } from "./services.js";
import { Slot } from "./slot.js";
import type { StateKeeper } from "./state-store.js";

/** A part of a chain that can be replaced while connections are established. */
export interface Replaceable {
  /** Represents the elements in the chain. Place it after the connectionState() that it was created with. */
  readonly element: NetworkServiceElement;
  /** Resources held by the elements, and under `replaced` the resources that earlier elements still hold. */
  debugState(): DebugState;
  /**
   * Replaces the elements. Calls in progress finish on the earlier elements; later calls use the new ones. A
   * slot of an earlier element hands its values over to the slot of the same name in a new element. A value
   * without such a slot is released when the next Request of its connection succeeds, or when the connection
   * ends.
   *
   * @throws NsmError FAILED_PRECONDITION if the order of the new elements is invalid here; the earlier elements
   * then stay
   */
  replace(elements: Elements<NetworkService>): void;
}

/** One set of elements and the chain linked from it. */
interface Generation {
  readonly list: readonly ChainElement<NetworkService>[];
  readonly road: (next: NetworkService) => NetworkService;
}

/**
 * Elements that a running program can replace. `around` lists the elements before them. New elements are
 * checked against these, as when a chain is built.
 *
 * @example
 * import { beginServer, chain, connectionState, pointToPointIpam, updatePath } from "nsm-sdk";
 * import { replaceable } from "nsm-sdk/core";
 *
 * const state = connectionState();
 * const before = [updatePath({ name }), beginServer(), state];
 * const functions = replaceable([pointToPointIpam({ prefixes })], { state, around: before });
 * const service = chain([...before, functions.element]);
 * functions.replace([pointToPointIpam({ prefixes: ["10.0.1.0/24"] })]);
 */
export function replaceable(
  elements: Elements<NetworkService>,
  { state, around }: { readonly state: StateKeeper; readonly around: Elements<NetworkService> },
): Replaceable {
  const generation = (own: Elements<NetworkService>): Generation => {
    // Only to check the order. The linked chain is discarded.
    chain([around, own]);
    return { list: flatten(own), road: chain.nest(own) };
  };
  let current = generation(elements);
  // Earlier elements that still hold resources of connections.
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

/** The slots that elements keep, including those of nested chains. */
function slotsOf(list: readonly ChainElement<NetworkService>[]): readonly Slot<unknown>[] {
  return list.flatMap(({ provides = [], nested = [] }) => [
    ...provides.filter((provision) => provision instanceof Slot),
    ...nested.flatMap((elements) => slotsOf(flatten(elements))),
  ]);
}
