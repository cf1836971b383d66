/**
 * Keeps one peer from filling a registry: bounds how large an entry may be, how many names an identity may hold
 * (the identity is the first of the entry's `pathIds`), and how many watches are open at once. What is left out
 * is not bounded. Fails with RESOURCE_EXHAUSTED, or INVALID_ARGUMENT for an entry that is too large.
 *
 * Both registries, server side. After update-path and begin.
 *
 * @example
 * endpointRegistryChain([updatePath({ tokens }), begin(), limits({ kind: endpointKind, namesPerIdentity: 1000 }), memoryEndpoints()]);
 *
 * @packageDocumentation
 */
import { defer, finalize, throwError } from "rxjs";
import { Code, NsmError, type RegistryElement, type RegistryEntry } from "../../../core/index.js";
import type { RegistryKind, WatchableQuery } from "../../kinds/index.js";

/** How much a registry takes. */
export interface Limits {
  /** Of one entry, encoded. */
  readonly entryBytes?: number | undefined;
  readonly namesPerIdentity?: number | undefined;
  readonly watches?: number | undefined;
}

/** What is bounded. */
export interface LimitsOptions<E extends RegistryEntry, Q extends WatchableQuery, F> extends Limits {
  readonly kind: RegistryKind<E, Q, F>;
}

/** See the module's description. */
export function limits<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  entryBytes = Infinity,
  namesPerIdentity = Infinity,
  watches = Infinity,
}: LimitsOptions<E, Q, F>): RegistryElement<E, Q, F> {
  /** Who holds a name, and how many each holds. */
  const holders = new Map<string, string>();
  const held = new Map<string, number>();
  let watching = 0;

  function hold(name: string, identity: string | undefined): void {
    const before = holders.get(name);
    if (before === identity) return;
    if (before !== undefined) {
      const rest = held.get(before)! - 1;
      if (rest > 0) held.set(before, rest);
      else held.delete(before);
    }
    if (identity === undefined) return void holders.delete(name);
    holders.set(name, identity);
    held.set(identity, (held.get(identity) ?? 0) + 1);
  }

  return {
    name: "limits",
    debugState: () => ({ names: holders.size, watches: watching }),

    async register(ctx, entry, next) {
      const { name } = entry;
      const bytes = kind.bytes(entry);
      if (bytes > entryBytes) {
        throw new NsmError(
          Code.InvalidArgument,
          `the ${kind.noun} ${name.slice(0, 64)} is ${bytes} bytes large; at most ${entryBytes} are allowed`,
        );
      }
      const before = holders.get(name);
      const identity = entry.pathIds[0] ?? "";
      const count = held.get(identity) ?? 0;
      if (before !== identity && count >= namesPerIdentity) {
        throw new NsmError(
          Code.ResourceExhausted,
          `"${identity}" holds ${count} ${kind.noun}s already; at most ${namesPerIdentity} are allowed`,
        );
      }
      // Counted before it is there: many may come at once.
      hold(name, identity);
      try {
        return await next.register(ctx, entry);
      } catch (error) {
        hold(name, before);
        throw error;
      }
    },

    find(ctx, query, next) {
      if (!query.watch) return next.find(ctx, query);
      return defer(() => {
        if (watching >= watches) {
          const full = `${watching} watches of ${kind.noun}s are open already; at most ${watches} are allowed`;
          return throwError(() => new NsmError(Code.ResourceExhausted, full));
        }
        watching++;
        return next.find(ctx, query).pipe(finalize(() => watching--));
      });
    },

    async unregister(ctx, entry, next) {
      try {
        await next.unregister(ctx, entry);
      } finally {
        hold(entry.name, undefined);
      }
    },
  };
}
