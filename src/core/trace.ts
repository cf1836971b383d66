import { isDeepStrictEqual } from "node:util";
import { isObservable, tap } from "rxjs";
import { ContextKey } from "./context.js";
import type { TraceHook } from "./element.js";
import { codeName, codeOf } from "./errors.js";
import type { Logger } from "./logger.js";

/** A running call of one element: its argument, and the answer of the rest of the chain. */
interface Layer {
  readonly element: string;
  readonly arg: unknown;
  answer?: unknown;
  /** The failure of the rest of the chain. */
  failure?: { readonly error: unknown };
}

const layerAbove = new ContextKey<Layer>("trace");

/**
 * Logs at debug level which fields each element changes in requests and answers, and which element an error
 * starts in. It logs only the names of fields, because values may contain tokens.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { traceChanges } from "nsm-sdk/core";
 *
 * chain(elements, { trace: traceChanges(logger) });
 */
export function traceChanges(logger: Logger): TraceHook {
  return ({ element, method, ctx, arg, proceed }) => {
    const above = ctx.get(layerAbove);
    if (above && above.arg !== arg) {
      logChanges(logger, `${above.element}/${method}`, "request", above.arg, arg);
    }
    const layer: Layer = { element, arg };
    return whenOver(proceed(ctx.with(layerAbove, layer)), {
      completed(answer) {
        if (layer.answer !== undefined)
          logChanges(logger, `${element}/${method}`, "answer", layer.answer, answer);
        if (above) above.answer = answer;
      },
      failed(error) {
        if (above) above.failure = { error };
        // An element that only forwards an error logs nothing.
        if (layer.failure && layer.failure.error === error) return;
        logger.debug({ element: `${element}/${method}`, code: codeName(codeOf(error)) }, "failed here");
      },
    });
  };
}

/** Callbacks of whenOver(). */
export interface Ending {
  /** The call succeeded. For a stream, which completed, the answer is undefined. */
  completed(answer: unknown): void;
  failed(error: unknown): void;
}

/**
 * Observes the result of a traced call, a promise or a stream, and returns one with the same outcome. A stream
 * that its subscriber ends counts as neither completed nor failed. For {@link TraceHook}s.
 *
 * @example
 * import { type TraceHook, whenOver } from "nsm-sdk/core";
 *
 * const timed: TraceHook = ({ element, method, ctx, proceed }) => {
 *   const started = ctx.clock.now();
 *   const over = () => console.log(`${element} ${method}: ${ctx.clock.now() - started} ms`);
 *   return whenOver(proceed(ctx), { completed: over, failed: over });
 * };
 */
export function whenOver<R>(result: R, { completed, failed }: Ending): R {
  if (isObservable(result)) {
    return result.pipe(tap({ complete: () => completed(undefined), error: failed })) as R;
  }
  if (!(result instanceof Promise)) return result;
  return result.then(
    (answer: unknown) => {
      completed(answer);
      return answer;
    },
    (error: unknown) => {
      failed(error);
      throw error;
    },
  ) as R;
}

function logChanges(logger: Logger, element: string, what: string, before: unknown, after: unknown): void {
  const changed = changedFields(before, after);
  if (changed.length > 0) logger.debug({ element, changed }, `changed the ${what}`);
}

function changedFields(before: unknown, after: unknown, path = ""): string[] {
  if (!isMessage(before) || !isMessage(after))
    return path === "" || isDeepStrictEqual(before, after) ? [] : [path];
  return Object.keys({ ...before, ...after }).flatMap((key) => {
    if (key === "_unknownFields" || isDeepStrictEqual(before[key], after[key])) return [];
    const name = path === "" ? key : `${path}.${key}`;
    // Two levels show which part of a connection changed and keep the log line short.
    return path.includes(".") ? [name] : changedFields(before[key], after[key], name);
  });
}

function isMessage(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
