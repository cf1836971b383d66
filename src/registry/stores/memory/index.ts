/**
 * Stores entries in the memory of this process. It stores a Register once the later elements have accepted it.
 * A Find shows the matching entries and continues with the next element. A watch also shows every later change:
 * each Register, including refreshes, and each Unregister with `deleted`. If an update makes an entry stop
 * matching a watch's query, that watch shows the last matching state as deleted. An Unregister with a URL other
 * than the entry's does not remove it.
 *
 * Both registries, server side, last (or before a further registry). Entries and watches are indexed by name
 * and service. Watches never wait for each other. A Find or watch over many entries runs in slices, so that
 * other calls are answered in between.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * const registry = endpointRegistryChain([updatePath({ tokens }), begin(), memoryEndpoints()]);
 *
 * @packageDocumentation
 */
import { concat, merge, Observable } from "rxjs";
import type {
  Context,
  EndpointRegistry,
  ChainElement,
  NetworkServiceRegistry,
  RegistryElement,
  RegistryEntry,
} from "../../../core/index.js";
import { endpointKind, networkServiceKind, type RegistryKind, type WatchableQuery } from "../../kinds.js";
import { EntryIndex } from "../../entry-index.js";
import { inSlices } from "../../in-slices.js";
import { isAbout } from "../../is-about.js";
import { Watchers } from "./watchers.js";

/** A store for network services. */
export const memoryNetworkServices = (): ChainElement<NetworkServiceRegistry> => memory(networkServiceKind);

/** A store for endpoints. */
export const memoryEndpoints = (): ChainElement<EndpointRegistry> => memory(endpointKind);

function memory<E extends RegistryEntry, Q extends WatchableQuery, F>(
  kind: RegistryKind<E, Q, F>,
): RegistryElement<E, Q, F> {
  const entries = new EntryIndex<E>(kind.services);
  const watchers = new Watchers(kind);

  const watch = (ctx: Context, asked: E | undefined): Observable<F> =>
    new Observable((subscriber) => {
      const { signal } = ctx;
      const abort = (): void => subscriber.error(signal.reason);
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      // Subscribes and takes the snapshot synchronously, so that no change is missed.
      const leave = watchers.join(asked, subscriber, entries.candidates(asked));
      return () => {
        leave();
        signal.removeEventListener("abort", abort);
      };
    });

  return {
    name: "memory",
    debugState: () => ({ entries: entries.size, watchers: watchers.size }),

    async register(ctx, entry, next) {
      const stored = await next.register(ctx, entry);
      const before = entries.put(stored);
      watchers.publish(before, stored);
      return stored;
    },

    find(ctx, query, next) {
      const asked = kind.asked(query);
      if (query.watch) return merge(watch(ctx, asked), next.find(ctx, query));
      return concat(
        new Observable<F>((subscriber) =>
          inSlices(
            entries.candidates(asked),
            (entry) => kind.matches(asked, entry) && subscriber.next(kind.found(entry, false)),
            () => subscriber.complete(),
          ),
        ),
        next.find(ctx, query),
      );
    },

    async unregister(ctx, entry, next) {
      const standing = entries.get(entry.name);
      if (standing && isAbout(entry, standing)) {
        entries.delete(entry.name);
        watchers.publish(standing, undefined);
      }
      await next.unregister(ctx, entry);
    },
  };
}
