import type { Context } from "./context.js";
import { Code, NsmError } from "./errors.js";

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
  /** Elements that must stand before it; checked when the chain is built. `begin` is met by `begin/server`. */
  readonly needs?: readonly string[];
  /** What it holds at the moment, for tests and for people. */
  debugState?(): DebugState;
} & {
  readonly [M in keyof S]?: S[M] extends (ctx: Context, arg: infer A) => infer R
    ? (ctx: Context, arg: A, next: S) => R
    : never;
};

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
  /** What the last element calls; the service's own default answer when left out. */
  readonly tail?: S;
  readonly trace?: TraceHook | undefined;
}

type Method = (ctx: Context, arg: unknown, next?: unknown) => unknown;

/** Links elements of one service. Made by {@link chainOf}. */
export interface ChainBuilder<S> {
  (elements: Elements<S>, options?: ChainOptions<S>): S;
  /**
   * The elements as a road into whatever `next` is: for elements that choose between chains. The same `next`
   * gives the same chain, and `next` is one object for the life of a chain, so this links only once.
   */
  nest(elements: Elements<S>): (next: S) => S;
}

/**
 * The runner for one service: `chain(elements)` links them once, the first element outermost. The service's
 * methods are those of `defaultTail`, which answers where no tail is given.
 */
export function chainOf<S extends object>(defaultTail: S): ChainBuilder<S> {
  const methods = Object.keys(defaultTail) as (keyof S & string)[];

  function link(element: ChainElement<S>, next: S, trace: TraceHook | undefined): S {
    const linked: Record<string, unknown> = {};
    for (const method of methods) {
      const call = element[method] as Method | undefined;
      if (!call) {
        linked[method] = next[method];
      } else if (!trace) {
        linked[method] = (ctx: Context, arg: unknown) => call.call(element, ctx, arg, next);
      } else {
        linked[method] = (ctx: Context, arg: unknown) =>
          trace({
            element: element.name,
            method,
            ctx,
            arg,
            proceed: (c) => call.call(element, c, arg, next),
          });
      }
    }
    return linked as S;
  }

  const fold = (list: readonly ChainElement<S>[], { tail = defaultTail, trace }: ChainOptions<S>): S =>
    list.reduceRight((next, element) => link(element, next, trace), tail);

  const chain = (elements: Elements<S>, options: ChainOptions<S> = {}): S => {
    const list = flatten(elements);
    checkNeeds(list);
    return fold(list, options);
  };
  const nest = (elements: Elements<S>): ((next: S) => S) => {
    const list = flatten(elements);
    const linked = new WeakMap<object, S>();
    return (next) => {
      const known = linked.get(next) ?? fold(list, { tail: next });
      linked.set(next, known);
      return known;
    };
  };
  return Object.assign(chain, { nest });
}

/** The elements of a nested list, in order. */
export function flatten<S>(elements: Elements<S>): readonly ChainElement<S>[] {
  // The type of a flattened recursive list is too deep for the compiler.
  return (elements as readonly unknown[]).flat(Infinity) as ChainElement<S>[];
}

/** Whatever can be asked what it holds, nested as elements are. */
export type Holders = readonly (Pick<ChainElement<object>, "name" | "debugState"> | Holders)[];

/** What the elements of a chain hold, by element name. Elements of one name are added up. */
export function debugState(elements: Holders): DebugState {
  return flatten(elements as Elements<object>).reduce<DebugState>((state, element) => {
    const own = element.debugState ? withoutZeros(element.debugState()) : {};
    return Object.keys(own).length > 0 ? sum(state, { [element.name]: own }) : state;
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

function checkNeeds<S>(list: readonly ChainElement<S>[]): void {
  const before: string[] = [];
  for (const element of list) {
    for (const need of element.needs ?? []) {
      if (!before.some((name) => name === need || name.startsWith(`${need}/`))) {
        throw new NsmError(
          Code.FailedPrecondition,
          `${element.name} needs ${need} before it; the chain has ${before.join(", ") || "nothing"} there`,
        );
      }
    }
    before.push(element.name);
  }
}
