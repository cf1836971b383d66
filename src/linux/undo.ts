import { codeOf, explain, NsmError } from "../core/index.js";

/**
 * Returns the result of `work`. If `work` fails, runs `undo` and throws the failure. If `undo` fails too, the
 * error mentions it, because something stays behind.
 */
export async function undoing<T>(work: () => Promise<T>, undo: () => Promise<void>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    try {
      await undo();
    } catch (second) {
      throw new NsmError(codeOf(error), `${explain(error)}; the cleanup failed too`, {
        cause: new AggregateError([error, second]),
      });
    }
    throw error;
  }
}
