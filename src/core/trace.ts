import { isDeepStrictEqual } from "node:util";
import { ContextKey } from "./context.js";
import type { TraceHook } from "./element.js";
import { codeName, codeOf } from "./errors.js";
import type { Logger } from "./logger.js";

/** One element under way: what it was given, and what the rest of the chain answered it. */
interface Layer {
  readonly element: string;
  readonly arg: unknown;
  answer?: unknown;
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
    const result = proceed(ctx.with(layerAbove, layer));
    if (!(result instanceof Promise)) return result;
    return result.then(
      (answer: unknown) => {
        if (layer.answer !== undefined) tell(logger, `${element}/${method}`, "answer", layer.answer, answer);
        if (above) above.answer = answer;
        return answer;
      },
      (error: unknown) => {
        if (!known.has(error as object)) {
          known.add(error as object);
          logger.debug({ element: `${element}/${method}`, code: codeName(codeOf(error)) }, "failed here");
        }
        throw error;
      },
    ) as typeof result;
  };
}

// Errors that were told where they began; what passes them on says nothing.
const known = new WeakSet<object>();

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
