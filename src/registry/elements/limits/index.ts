/**
 * Keeps one peer from filling a registry: bounds how large an entry may be, how many names an identity may hold
 * (the identity is the first of the entry's `pathIds`), and how many watches are open at once. What is left out
 * is not bounded. Fails with RESOURCE_EXHAUSTED, or INVALID_ARGUMENT for an entry that is too large.
 *
 * Both registries, server side. After update-path, begin and registration-state.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { endpointKind } from "nsm-sdk/registry";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { limits } from "nsm-sdk/registry/elements/limits";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([
 *   updatePath({ tokens }),
 *   begin(),
 *   registrationState(),
 *   limits({ kind: endpointKind, namesPerIdentity: 1000 }),
 *   memoryEndpoints(),
 * ]);
 *
 * @packageDocumentation
 */
import { defer, finalize, throwError } from "rxjs";
import { Code, NsmError, Slot, type RegistryElement, type RegistryEntry } from "../../../core/index.js";
import type { RegistryKind, WatchableQuery } from "../../kinds.js";

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
  /** How many names each identity holds. */
  const held = new Map<string, number>();
  let watching = 0;

  const count = (identity: string, change: number): void => {
    const names = (held.get(identity) ?? 0) + change;
    if (names > 0) held.set(identity, names);
    else held.delete(identity);
  };
  /** Who holds the name of a registration. */
  const holder = new Slot<string>("limits", { release: (identity) => count(identity, -1) });

  return {
    name: "limits",
    inside: ["begin", "registration-state"],
    provides: [holder],
    debugState: () => ({
      names: [...held.values()].reduce((sum, names) => sum + names, 0),
      watches: watching,
    }),

    async register(ctx, entry, next) {
      const { name } = entry;
      const bytes = kind.bytes(entry);
      if (bytes > entryBytes) {
        throw new NsmError(
          Code.InvalidArgument,
          `the ${kind.noun} ${name.slice(0, 64)} is ${bytes} bytes large; at most ${entryBytes} are allowed`,
        );
      }
      const identity = entry.pathIds[0] ?? "";
      if (holder.get(ctx) !== identity) {
        const names = held.get(identity) ?? 0;
        if (names >= namesPerIdentity) {
          throw new NsmError(
            Code.ResourceExhausted,
            `"${identity}" holds ${names} ${kind.noun}s already; at most ${namesPerIdentity} are allowed`,
          );
        }
        // Counted before it is there: many may come at once.
        count(identity, 1);
        holder.set(ctx, identity);
      }
      return next.register(ctx, entry);
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
  };
}
