import { codeOf, explain, NsmError } from "../core/index.js";

/**
 * The result of `work`; when that fails, the failure, after `undo` has removed what had been made before.
 * Should the undoing fail too, the error says so, because then something is left behind.
 */
export async function undoing<T>(work: () => Promise<T>, undo: () => Promise<void>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    try {
      await undo();
    } catch (second) {
      throw new NsmError(codeOf(error), `${explain(error)}; and what had been made could not be removed`, {
        cause: new AggregateError([error, second]),
      });
    }
    throw error;
  }
}
