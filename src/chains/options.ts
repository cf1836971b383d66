import { Code, NsmError } from "../core/index.js";

/** @throws NsmError INVALID_ARGUMENT for an option that is empty or not a text */
export function assertTexts(user: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options))
    if (!isText(value)) reject(user, name, value, "a text that is not empty");
}

/** @throws NsmError INVALID_ARGUMENT for an option that is not a list of such texts, or has none */
export function assertLists(user: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options))
    if (!Array.isArray(value) || value.length === 0 || !value.every(isText))
      reject(user, name, value, "a list of one or more texts that are not empty");
}

/** @throws NsmError INVALID_ARGUMENT for a time limit that is given, but not more than 0 */
export function assertTimeLimits(user: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !(typeof value === "number" && value > 0))
      reject(user, name, value, "a number of milliseconds above 0");
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function reject(user: string, name: string, value: unknown, allowed: string): never {
  const given = typeof value === "number" ? String(value) : JSON.stringify(value);
  throw new NsmError(Code.InvalidArgument, `option "${name}" of ${user} was ${given}: allowed is ${allowed}`);
}
