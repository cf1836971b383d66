import { defer, throwError } from "rxjs";
import {
  codeName,
  NsmError,
  type ChainElement,
  type Code,
  type Context,
  type Elements,
} from "../core/index.js";
import { flatten } from "../core/element.js";
import type { Method, Probe } from "./probes.js";

/**
 * What an obstacle does with a call:
 * - `rejects`: fails it before the inner elements see it
 * - `refuses`: calls the inner elements, then fails although they succeeded
 * - `waits`: holds it until its caller cancels
 */
export type Obstruction = "rejects" | "refuses" | "waits";

/** An element that passes calls, except those that a contract suite announces. */
export interface Obstacle extends Probe {
  /** Obstructs the next call of `method`. */
  once(method: Method, how: Obstruction, code: Code): void;
}

interface Announced {
  readonly method: Method;
  readonly how: Obstruction;
  readonly code: Code;
}

/** Creates an {@link Obstacle} that passes every call, except those announced with `once`. */
export function obstacle(): Obstacle {
  let ahead: Announced | undefined;

  /** Returns the announcement for this call, if any. */
  const take = (method: Method): Announced | undefined => {
    const found = ahead?.method === method ? ahead : undefined;
    if (found) ahead = undefined;
    return found;
  };
  const pass = async <R>(ctx: Context, method: Method, proceed: () => Promise<R>): Promise<R> => {
    const announced = take(method);
    if (!announced) return proceed();
    if (announced.how === "waits") await canceled(ctx);
    if (announced.how === "refuses") await proceed();
    throw failureOf(announced);
  };
  return {
    name: "obstacle",
    once: (method, how, code) => void (ahead = { method, how, code }),
    request: (ctx, request, next) => pass(ctx, "request", () => next.request(ctx, request)),
    close: (ctx, connection, next) => pass(ctx, "close", () => next.close(ctx, connection)),
    register: (ctx, entry, next) => pass(ctx, "register", () => next.register(ctx, entry)),
    find: (ctx, query, next) =>
      defer(() => {
        const announced = take("find");
        return announced ? throwError(() => failureOf(announced)) : next.find(ctx, query);
      }),
    unregister: (ctx, entry, next) => pass(ctx, "unregister", () => next.unregister(ctx, entry)),
  };
}

// Contract suites recognize by this message that an element passed on the original error.
const failureOf = ({ method, code }: Announced): NsmError =>
  new NsmError(code, `the test fails this ${method} with ${codeName(code)}`);

function canceled({ signal }: Context): Promise<never> {
  return new Promise((_resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
}

/**
 * Inserts `added` directly before the element called `name`. Without such an element, returns the elements
 * unchanged.
 */
export function outsideOf<S>(name: string, added: ChainElement<S>, elements: Elements<S>): Elements<S> {
  const list = flatten(elements);
  const at = list.findIndex((element) => element.name === name);
  return at < 0 ? list : [...list.slice(0, at), added, ...list.slice(at)];
}
