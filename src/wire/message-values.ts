import { Code, NsmError } from "../core/index.js";

/** Most values that all parts of one message may have together. Ordinary messages have some hundreds. */
const MOST_VALUES = 50_000;
/** A message this short cannot have more. */
const SHORT_BYTES = MOST_VALUES / 8;

/**
 * Rejects a message that is small on the wire and large in memory: an empty element of a list takes two bytes there, and
 * about two hundred here. A connection keeps its Request, so that a few of such messages would fill the memory.
 *
 * @throws NsmError INVALID_ARGUMENT
 */
export function assertFewValues(method: string, bytes: number, message: unknown): void {
  if (bytes <= SHORT_BYTES || countValues(message) <= MOST_VALUES) return;
  throw new NsmError(
    Code.InvalidArgument,
    `the message of ${method} has more than ${MOST_VALUES} values in its lists, maps and fields`,
  );
}

/** How many values there are, or more than are allowed. */
function countValues(message: unknown): number {
  const waiting = [message].filter(isPart);
  let count = 0;
  for (let part = waiting.pop(); part !== undefined && count <= MOST_VALUES; part = waiting.pop()) {
    const values = Object.values(part) as unknown[];
    count += values.length;
    for (const value of values) if (isPart(value)) waiting.push(value);
  }
  return count;
}

function isPart(value: unknown): value is object {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
}
