import { ContextKey } from "./context.js";
import { Code, NsmError } from "./errors.js";

/** What an element declares about its place in the chain. */
interface Placed {
  readonly name: string;
  readonly inside?: readonly string[];
  readonly outside?: readonly string[];
  readonly provides?: readonly unknown[];
  readonly reads?: readonly unknown[];
  readonly nested?: readonly unknown[];
}

/** Whether a name matches an order rule. `begin` also matches `begin/server` and `begin/client`. */
function fits(name: string, rule: string): boolean {
  return name === rule || name.startsWith(`${rule}/`);
}

function fail(message: string): never {
  throw new NsmError(Code.FailedPrecondition, message);
}

/** The elements around a list that is checked. */
interface Surroundings {
  /** The preceding elements, outermost first. */
  readonly outer: readonly Placed[];
  /** Whether all preceding elements are known. They are not known for a chain that is only built for nesting. */
  readonly complete: boolean;
}

/**
 * Checks the order that the elements of a list declare, including nested chains.
 *
 * @throws NsmError FAILED_PRECONDITION; the message names both elements and the correct order
 */
export function checkOrder(list: readonly Placed[], { outer, complete }: Surroundings): void {
  list.forEach((element, at) => {
    const before = [...outer, ...list.slice(0, at)];
    const after = list.slice(at + 1);
    checkInside(element, before, after, complete);
    checkOutside(element, before);
    checkReads(element, before, after);
    for (const nested of element.nested ?? []) {
      const inner = (nested as readonly unknown[]).flat(Infinity) as Placed[];
      checkOrder(inner, { outer: [...before, element], complete });
    }
  });
}

/** Checks that every `inside` element precedes this element. */
function checkInside(
  { name, inside = [] }: Placed,
  before: readonly Placed[],
  after: readonly Placed[],
  complete: boolean,
): void {
  for (const rule of inside) {
    if (before.some((element) => fits(element.name, rule))) continue;
    const late = after.find((element) => fits(element.name, rule));
    if (late) fail(`${name} must stand inside ${late.name}: put ${late.name} before ${name}`);
    if (complete)
      fail(`${name} must stand inside ${rule}, which this chain lacks: put ${rule} before ${name}`);
  }
}

/** Checks that no `outside` element precedes this element. */
function checkOutside({ name, outside = [] }: Placed, before: readonly Placed[]): void {
  for (const rule of outside) {
    const early = before.find((element) => fits(element.name, rule));
    if (early) fail(`${name} must stand outside ${early.name}: put ${name} before ${early.name}`);
  }
}

/**
 * Context values reach only later elements, so the element that provides a key must precede the element that
 * reads it.
 */
function checkReads({ name, reads = [] }: Placed, before: readonly Placed[], after: readonly Placed[]): void {
  for (const key of reads) {
    const provides = (element: Placed): boolean => element.provides?.includes(key) ?? false;
    if (!(key instanceof ContextKey) || before.some(provides)) continue;
    const late = after.find(provides);
    if (late)
      fail(`${name} reads "${key.name}", which ${late.name} provides: put ${late.name} before ${name}`);
  }
}
