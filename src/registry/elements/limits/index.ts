/**
 * Prevents one peer from filling a registry: limits the size of an entry, the number of names per identity (the
 * first of the entry's `pathIds`), and the number of open watches. Omitted limits do not apply. Fails with
 * RESOURCE_EXHAUSTED, or with INVALID_ARGUMENT for an entry that is too large.
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

/** The limits of a registry. */
export interface Limits {
  /** Maximum size of one entry, in bytes, encoded. Default: unlimited. */
  readonly entryBytes?: number | undefined;
  readonly namesPerIdentity?: number | undefined;
  readonly watches?: number | undefined;
}

/** Options of limits(). */
export interface LimitsOptions<E extends RegistryEntry, Q extends WatchableQuery, F> extends Limits {
  readonly kind: RegistryKind<E, Q, F>;
}

/** Creates the element. See the module description. */
export function limits<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  entryBytes = Infinity,
  namesPerIdentity = Infinity,
  watches = Infinity,
}: LimitsOptions<E, Q, F>): RegistryElement<E, Q, F> {
  /** Number of names per identity. */
  const held = new Map<string, number>();
  let watching = 0;

  const count = (identity: string, change: number): void => {
    const names = (held.get(identity) ?? 0) + change;
    if (names > 0) held.set(identity, names);
    else held.delete(identity);
  };
  /** The identity that holds the name of a registration. */
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
          `${kind.noun} ${name.slice(0, 64)} is too large: ${bytes} bytes, the limit is ${entryBytes}`,
        );
      }
      const identity = entry.pathIds[0] ?? "";
      if (holder.get(ctx) !== identity) {
        const names = held.get(identity) ?? 0;
        if (names >= namesPerIdentity) {
          throw new NsmError(
            Code.ResourceExhausted,
            `"${identity}" has registered ${names} ${kind.noun}s: the limit is ${namesPerIdentity}`,
          );
        }
        // Counted before the Register, because many may run concurrently.
        count(identity, 1);
        holder.set(ctx, identity);
      }
      return next.register(ctx, entry);
    },

    find(ctx, query, next) {
      if (!query.watch) return next.find(ctx, query);
      return defer(() => {
        if (watching >= watches) {
          const full = `too many watches of ${kind.noun}s: ${watching} are open, the limit is ${watches}`;
          return throwError(() => new NsmError(Code.ResourceExhausted, full));
        }
        watching++;
        return next.find(ctx, query).pipe(finalize(() => watching--));
      });
    },
  };
}
