import { Code, NsmError, type Elements } from "../core/index.js";

/** Built-in elements by name. Each is created only if it is not replaced. */
export type BuiltIn<Name extends string, S> = Readonly<Record<Name, () => Elements<S>>>;

/**
 * Creates the built-in elements, with replacements in place of those that they name.
 *
 * @throws NsmError INVALID_ARGUMENT for a replacement of an unknown element
 */
export function replaced<Name extends string, S>(
  chain: string,
  builtIn: BuiltIn<Name, S>,
  replace: Partial<Readonly<Record<Name, Elements<S> | undefined>>> = {},
): Readonly<Record<Name, Elements<S>>> {
  const names = Object.keys(builtIn) as Name[];
  assertNames(chain, "element to replace", Object.keys(replace), names);
  return Object.fromEntries(names.map((name) => [name, replace[name] ?? builtIn[name]()])) as Record<
    Name,
    Elements<S>
  >;
}

/** @throws NsmError INVALID_ARGUMENT for a name that is not among the allowed ones */
export function assertNames(
  chain: string,
  what: string,
  given: readonly string[],
  allowed: readonly string[],
): void {
  const wrong = given.find((name) => !allowed.includes(name));
  if (wrong === undefined) return;
  const list = allowed.map((name) => `"${name}"`).join(", ");
  throw new NsmError(Code.InvalidArgument, `${chain} has no ${what} named "${wrong}": the names are ${list}`);
}
