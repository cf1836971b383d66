import { isObservable, tap } from "rxjs";
import { whenOver, type TraceHook } from "../core/index.js";

/**
 * Freezes a message deeply, so that writing to it throws. A message that is frozen already is assumed to be
 * deeply frozen.
 */
export function frozen<T>(message: T): T {
  if (typeof message !== "object" || message === null) return message;
  if (ArrayBuffer.isView(message) || Object.isFrozen(message)) return message;
  Object.freeze(message);
  for (const value of Object.values(message)) frozen(value);
  return message;
}

/**
 * A trace hook that freezes every message between elements, in both directions. An element that writes to one
 * throws. All chains of {@link run}, {@link runRegistry} and {@link mesh} use it.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { freezing } from "nsm-sdk/testing";
 *
 * const linked = chain(elements, { trace: freezing });
 */
export const freezing: TraceHook = <R>({ arg, ctx, proceed }: Parameters<TraceHook>[0]): R => {
  frozen(arg);
  const result = proceed(ctx) as R;
  if (isObservable(result)) return result.pipe(tap(frozen)) as R;
  return whenOver(result, { completed: frozen, failed: () => {} });
};
