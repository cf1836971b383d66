import type { Context, ContextKey } from "./context.js";
import { checkOrder } from "./order.js";
import type { Slot } from "./slot.js";

/** What an element, a chain or a program holds, by name; zeros are left out, so `{}` means nothing. */
export interface DebugState {
  readonly [name: string]: number | DebugState;
}

/**
 * A step on the road of a call: a name and any of the service's methods, each with the rest of the chain as
 * `next`. A method left out passes through.
 *
 * @example
 * const shout: ChainElement<NetworkService> = {
 *   name: "shout",
 *   request: (ctx, request, next) => next.request(ctx, patchConnection(request, { labels: { LOUD: "yes" } })),
 * };
 */
export type ChainElement<S> = {
  /** The path of its folder under `elements`, with the side where there are two: `begin/server`. */
  readonly name: string;
  /**
   * Elements that must stand further out, before it in the list. `begin` stands for `begin/server` too. Checked
   * when the chain is built, like everything that an element declares about its place.
   */
  readonly inside?: readonly string[];
  /** Elements that, where the chain has them, must stand further in, after it in the list. */
  readonly outside?: readonly string[];
  /** The context keys that it sets for elements further in, and the slots it keeps. */
  readonly provides?: readonly Provision[];
  /** The context keys and the slots of other elements that it uses where they are set. */
  readonly reads?: readonly Provision[];
  /** The chains that it chooses between with `nest`. What they hold counts as held by this element. */
  readonly nested?: readonly Elements<S>[];
  /** Resources currently held, for tests and diagnostics. */
  debugState?(): DebugState;
} & {
  readonly [M in keyof S]?: S[M] extends (ctx: Context, arg: infer A) => infer R
    ? (ctx: Context, arg: A, next: S) => R
    : never;
};

/** What an element hands over to others, or uses of theirs. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- of whatever type; a slot is not covariant
export type Provision = ContextKey<any> | Slot<any>;

/** A chain under assembly: an array, nested as deep as is convenient. */
export type Elements<S> = readonly (ChainElement<S> | Elements<S>)[];

/** Sees every call of every element: for spans and logs. It must call `proceed` once and return its result. */
export type TraceHook = <R>(call: {
  readonly element: string;
  readonly method: string;
  readonly ctx: Context;
  readonly arg: unknown;
  readonly proceed: (ctx: Context) => R;
}) => R;

/** What a chain ends in and who watches it. */
export interface ChainOptions<S> {
  /** What the last element calls. Default: the service's own default answer. */
  readonly tail?: S;
  readonly trace?: TraceHook | undefined;
}

type Method = (ctx: Context, arg: unknown, next?: unknown) => unknown;

/** Links elements of one service. Made by {@link chainOf}. */
export interface ChainBuilder<S> {
  (elements: Elements<S>, options?: ChainOptions<S>): S;
  /**
   * The elements as a road into whatever `next` is: for elements that choose between chains, which list them as
   * `nested`. The trace hook of the chain that `next` belongs to sees them too. The same `next` gives the same
   * chain, and `next` is one object for the life of a chain, so this links only once.
   */
  nest(elements: Elements<S>): (next: S) => S;
}

/**
 * The runner for one service: `chain(elements)` links them once, the first element outermost. The service's
 * methods are those of `defaultTail`, which answers where no tail is given.
 */
export function chainOf<S extends object>(defaultTail: S): ChainBuilder<S> {
  const methods = Object.keys(defaultTail) as (keyof S & string)[];

  /** An object with the service's methods, known to be traced by `trace`. */
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
      return (ctx: Context, arg: unknown) =>
        trace({
          element: element.name,
          method,
          ctx,
          arg,
          proceed: (c) => call.call(element, c, arg, next),
        });
    });
  }

  function fold(list: readonly ChainElement<S>[], tail: S, trace: TraceHook | undefined): S {
    return list.reduceRight((next, element) => link(element, next, trace), tail);
  }

  const chain = (elements: Elements<S>, { tail = defaultTail, trace }: ChainOptions<S> = {}): S => {
    const list = flatten(elements);
    checkOrder(list as readonly ChainElement<object>[], { outer: [], complete: true });
    // Nested chains find the hook of the chain they lead into by its objects: the tail needs one of its own.
    const end = trace ? linked(trace, (method) => (tail[method] as Method).bind(tail)) : tail;
    return fold(list, end, trace);
  };
  const nest = (elements: Elements<S>): ((next: S) => S) => {
    const list = flatten(elements);
    checkOrder(list as readonly ChainElement<object>[], { outer: [], complete: false });
    const known = new WeakMap<object, S>();
    return (next) => {
      const chained = known.get(next) ?? fold(list, next, traceOf.get(next));
      known.set(next, chained);
      return chained;
    };
  };
  return Object.assign(chain, { nest });
}

/** The hooks of linked chains, by the objects that they are linked of. */
const traceOf = new WeakMap<object, TraceHook>();

/** The elements of a nested list, in order. */
export function flatten<S>(elements: Elements<S>): readonly ChainElement<S>[] {
  // The type of a flattened recursive list is too deep for the compiler.
  return (elements as readonly unknown[]).flat(Infinity) as ChainElement<S>[];
}

/** Whatever can be asked what it holds, nested as elements are. */
export type Holders = readonly (
  (Pick<ChainElement<object>, "name" | "debugState"> & { readonly nested?: readonly Holders[] }) | Holders
)[];

/** Resources that the elements of a chain hold, by element name. Elements of the same name are added up. */
export function debugState(elements: Holders): DebugState {
  return flatten(elements as Elements<object>).reduce<DebugState>((state, element) => {
    const own = element.debugState ? withoutZeros(element.debugState()) : {};
    const nested = (element.nested ?? []).map((chain) => debugState(chain));
    const all = nested.reduce(sum, own);
    return Object.keys(all).length > 0 ? sum(state, { [element.name]: all }) : state;
  }, {});
}

function sum(a: DebugState, b: DebugState): DebugState {
  const added = Object.entries(b).map(([name, value]): [string, number | DebugState] => {
    const other = a[name];
    if (typeof value === "number") return [name, value + (typeof other === "number" ? other : 0)];
    return [name, sum(typeof other === "object" ? other : {}, value)];
  });
  return { ...a, ...Object.fromEntries(added) };
}

function withoutZeros(state: DebugState): DebugState {
  const entries = Object.entries(state)
    .map(([name, value]) => [name, typeof value === "number" ? value : withoutZeros(value)] as const)
    .filter(([, value]) => (typeof value === "number" ? value !== 0 : Object.keys(value).length > 0));
  return Object.fromEntries(entries);
}
