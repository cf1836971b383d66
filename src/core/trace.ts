import { isDeepStrictEqual } from "node:util";
import { isObservable, tap } from "rxjs";
import { ContextKey } from "./context.js";
import type { TraceHook } from "./element.js";
import { codeName, codeOf } from "./errors.js";
import type { Logger } from "./logger.js";

/** One element under way: what it was given, and what the rest of the chain answered it. */
interface Layer {
  readonly element: string;
  readonly arg: unknown;
  answer?: unknown;
  /** What the rest of the chain failed with. */
  failure?: { readonly error: unknown };
}

const layerAbove = new ContextKey<Layer>("trace");

/**
 * Logs at debug level what each element changes, on the way in and on the way back, and where an error begins.
 * Only the names of fields are told: values may hold tokens.
 *
 * @example
 * chain(elements, { trace: traceChanges(logger) });
 */
export function traceChanges(logger: Logger): TraceHook {
  return ({ element, method, ctx, arg, proceed }) => {
    const above = ctx.get(layerAbove);
    if (above && above.arg !== arg) {
      tell(logger, `${above.element}/${method}`, "request", above.arg, arg);
    }
    const layer: Layer = { element, arg };
    return whenOver(proceed(ctx.with(layerAbove, layer)), {
      completed(answer) {
        if (layer.answer !== undefined) tell(logger, `${element}/${method}`, "answer", layer.answer, answer);
        if (above) above.answer = answer;
      },
      failed(error) {
        if (above) above.failure = { error };
        // What only passes an error on logs nothing.
        if (layer.failure && layer.failure.error === error) return;
        logger.debug({ element: `${element}/${method}`, code: codeName(codeOf(error)) }, "failed here");
      },
    });
  };
}

/** What whenOver() calls at the end of a call. */
export interface Ending {
  /** The call has its answer; a stream has completed, and its answer is undefined. */
  completed(answer: unknown): void;
  failed(error: unknown): void;
}

/**
 * Watches the result of a traced call, a promise or a stream, and returns one with the same outcome. A stream that
 * its reader ends counts as neither completed nor failed. For {@link TraceHook}s.
 *
 * @example
 * const timed: TraceHook = ({ element, method, ctx, proceed }) => {
 *   const started = ctx.clock.now();
 *   const over = () => histogram.observe({ element, method }, ctx.clock.now() - started);
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

function tell(logger: Logger, element: string, what: string, before: unknown, after: unknown): void {
  const changed = changedFields(before, after);
  if (changed.length > 0) logger.debug({ element, changed }, `changed the ${what}`);
}

function changedFields(before: unknown, after: unknown, path = ""): string[] {
  if (!isMessage(before) || !isMessage(after))
    return path === "" || isDeepStrictEqual(before, after) ? [] : [path];
  return Object.keys({ ...before, ...after }).flatMap((key) => {
    if (key === "_unknownFields" || isDeepStrictEqual(before[key], after[key])) return [];
    const name = path === "" ? key : `${path}.${key}`;
    // Deep enough to see which part of a connection changed, not so deep that a log line becomes a dump.
    return path.includes(".") ? [name] : changedFields(before[key], after[key], name);
  });
}

function isMessage(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
