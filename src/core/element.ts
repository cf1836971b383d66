import type { Context, ContextKey } from "./context.js";
import { checkOrder } from "./order.js";
import type { Slot } from "./slot.js";

/**
 * Resources held by an element, a chain or a program, by name. Zeros are omitted, so `{}` means that nothing is
 * held.
 */
export interface DebugState {
  readonly [name: string]: number | DebugState;
}

/**
 * One element of a chain. It has a name and any of the service's methods. Each method receives the rest of the
 * chain as `next`. A call passes through an element that does not have its method.
 *
 * @example
 * import { type NetworkService, patchConnection } from "nsm-sdk";
 * import type { ChainElement } from "nsm-sdk/core";
 *
 * const shout: ChainElement<NetworkService> = {
 *   name: "shout",
 *   request: (ctx, request, next) => next.request(ctx, patchConnection(request, { labels: { LOUD: "yes" } })),
 * };
 */
export type ChainElement<S> = {
  /** The path of its folder under `elements`, followed by the side if the element has two: `begin/server`. */
  readonly name: string;
  /**
   * Names of elements that must precede this element in the chain. `begin` also matches `begin/server`. Checked
   * when the chain is built, like all order declarations.
   */
  readonly inside?: readonly string[];
  /** Names of elements that, if the chain contains them, must follow this element. */
  readonly outside?: readonly string[];
  /** The context keys that it sets for later elements, and the slots it keeps. */
  readonly provides?: readonly Provision[];
  /** The context keys, and the slots of other elements, that it reads if they are set. */
  readonly reads?: readonly Provision[];
  /** The chains that it selects from with `nest`. The resources that they hold count as held by this element. */
  readonly nested?: readonly Elements<S>[];
  /** Resources currently held, for tests and diagnostics. */
  debugState?(): DebugState;
} & {
  readonly [M in keyof S]?: S[M] extends (ctx: Context, arg: infer A) => infer R
    ? (ctx: Context, arg: A, next: S) => R
    : never;
};

/** A context key or a slot that one element provides and others read. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- of whatever type; a slot is not covariant
export type Provision = ContextKey<any> | Slot<any>;

/** The elements of a chain: an array, nested to any depth. */
export type Elements<S> = readonly (ChainElement<S> | Elements<S>)[];

/**
 * Observes each call of each element, for spans and logs. It must call `proceed` exactly once and return its
 * result.
 */
export interface TraceHook {
  <R>(call: {
    readonly element: string;
    readonly method: string;
    readonly ctx: Context;
    readonly arg: unknown;
    readonly proceed: (ctx: Context) => R;
  }): R;
  /** Whether to observe the next call. While it returns false, tracing costs nothing else. Default: always. */
  readonly isEnabled?: (() => boolean) | undefined;
}

/** The end of a chain and the hook that traces it. */
export interface ChainOptions<S> {
  /** The service that the last element calls. Default: the tail of the service's chain builder. */
  readonly tail?: S | undefined;
  readonly trace?: TraceHook | undefined;
}

type Method = (ctx: Context, arg: unknown, next?: unknown) => unknown;

/** Links the elements of one service. Created by {@link chainOf}. */
export interface ChainBuilder<S> {
  (elements: Elements<S>, options?: ChainOptions<S>): S;
  /**
   * Links the elements in front of any `next`. For elements that select between chains and list them as
   * `nested`. The trace hook of the chain that `next` belongs to also traces these elements. Chains are cached
   * by `next`, which is one object for the life of a chain, so each chain is linked only once.
   */
  nest(elements: Elements<S>): (next: S) => S;
}

/**
 * Creates the chain builder of one service. `chain(elements)` links the elements once, the first element
 * outermost. The methods of the service are the methods of `defaultTail`, which answers if no tail is given.
 */
export function chainOf<S extends object>(defaultTail: S): ChainBuilder<S> {
  const methods = Object.keys(defaultTail) as (keyof S & string)[];

  /** Creates an object with the service's methods and records that `trace` traces it. */
  function linked(trace: TraceHook | undefined, methodOf: (method: keyof S & string) => unknown): S {
    const service = Object.fromEntries(methods.map((method) => [method, methodOf(method)])) as S;
    if (trace) traceOf.set(service, trace);
    return service;
  }

  function link(element: ChainElement<S>, next: S, trace: TraceHook | undefined): S {
    return linked(trace, (method) => {
      const call = element[method] as Method | undefined;
      if (!call) return next[method];
      if (!trace) return (ctx: Context, arg: unknown) => call.call(element, ctx, arg, next);
      return (ctx: Context, arg: unknown) => {
        if (trace.isEnabled && !trace.isEnabled()) return call.call(element, ctx, arg, next);
        return trace({
          element: element.name,
          method,
          ctx,
          arg,
          proceed: (c) => call.call(element, c, arg, next),
        });
      };
    });
  }

  function fold(list: readonly ChainElement<S>[], tail: S, trace: TraceHook | undefined): S {
    return list.reduceRight((next, element) => link(element, next, trace), tail);
  }

  const chain = (elements: Elements<S>, { tail = defaultTail, trace }: ChainOptions<S> = {}): S => {
    const list = flatten(elements);
    checkOrder(list, { outer: [], complete: true });
    // Nested chains look up the trace hook by the `next` object, so the tail needs an object of its own.
    const end = trace ? linked(trace, (method) => (tail[method] as Method).bind(tail)) : tail;
    return fold(list, end, trace);
  };
  const nest = (elements: Elements<S>): ((next: S) => S) => {
    const list = flatten(elements);
    checkOrder(list, { outer: [], complete: false });
    const known = new WeakMap<object, S>();
    return (next) => {
      const chained = known.get(next) ?? fold(list, next, traceOf.get(next));
      known.set(next, chained);
      return chained;
    };
  };
  return Object.assign(chain, { nest });
}

/** The trace hooks of linked chains, by the objects that the chains consist of. */
const traceOf = new WeakMap<object, TraceHook>();

/** The elements of a nested list, in order. */
export function flatten<S>(elements: Elements<S>): readonly ChainElement<S>[] {
  // The type of a flattened recursive list is too deep for the compiler.
  return (elements as readonly unknown[]).flat(Infinity) as ChainElement<S>[];
}

/** Anything with a `debugState`, nested like elements. */
export type Holders = readonly (
  (Pick<ChainElement<object>, "name" | "debugState"> & { readonly nested?: readonly Holders[] }) | Holders
)[];

/**
 * Resources that the elements of a chain hold, by element name. The values of elements with the same name are
 * added.
 */
export function debugState(elements: Holders): DebugState {
  return flatten(elements as Elements<object>).reduce<DebugState>((state, element) => {
    const own = element.debugState ? withoutZeros(element.debugState()) : {};
    const nested = (element.nested ?? []).map((chain) => debugState(chain));
    const all = nested.reduce(sumDebugStates, own);
    return Object.keys(all).length > 0 ? sumDebugStates(state, { [element.name]: all }) : state;
  }, {});
}

/** What two chains hold together. */
export function sumDebugStates(a: DebugState, b: DebugState): DebugState {
  const added = Object.entries(b).map(([name, value]): [string, number | DebugState] => {
    const other = a[name];
    if (typeof value === "number") return [name, value + (typeof other === "number" ? other : 0)];
    return [name, sumDebugStates(typeof other === "object" ? other : {}, value)];
  });
  return { ...a, ...Object.fromEntries(added) };
}

function withoutZeros(state: DebugState): DebugState {
  const entries = Object.entries(state)
    .map(([name, value]) => [name, typeof value === "number" ? value : withoutZeros(value)] as const)
    .filter(([, value]) => (typeof value === "number" ? value !== 0 : Object.keys(value).length > 0));
  return Object.fromEntries(entries);
}
