/**
 * Keeps a registration in the remote registry. After each successful Register, heal watches the entry. If the
 * watch breaks (a hop or the registry is gone, perhaps with its data), or the entry is deleted without an
 * Unregister from here, heal registers again. It retries with growing delays until it succeeds or the
 * registration ends. A Find with `watch` that breaks is reopened, and deletions in the meantime are reported.
 *
 * Both registries, client side. After begin and registration-state. Reads `registrationEvents`.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { endpointKind } from "nsm-sdk/registry";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { heal } from "nsm-sdk/registry/elements/heal";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { retry } from "nsm-sdk/registry/elements/retry";
 *
 * endpointRegistryChain([
 *   begin(),
 *   registrationState(),
 *   retry(),
 *   heal({ kind: endpointKind, until }),
 *   dialEndpoints({ remotes, url }),
 * ]);
 *
 * @packageDocumentation
 */
import {
  catchError,
  count,
  filter,
  firstValueFrom,
  map,
  merge,
  mergeMap,
  of,
  Subject,
  takeUntil,
  tap,
} from "rxjs";
import {
  backoff,
  codeOf,
  Context,
  explain,
  isRetryable,
  log,
  logger,
  registrationEvents,
  sleep,
  Slot,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import { Background } from "./background.js";
import type { RegistryKind, WatchableQuery } from "../../kinds.js";
import { persist } from "../../persist.js";
import { delayed } from "../../delayed.js";
import { unending } from "../../unending.js";
import { ESTABLISHED_MS, steadyWatch } from "../../steady-watch.js";

/** Options of heal(). */
export interface HealOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  /** The lifetime of the program. Ends watches and retries. */
  readonly until?: AbortSignal | undefined;
  /** Randomizes the delays. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** The watched entry, and whether it is lost. */
interface Watched {
  readonly name: string;
  lost: boolean;
}

const PAUSES = { initialMs: 100, maxMs: 10_000 };

/** Creates the element. See the module description. */
export function heal<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  until,
  random = Math.random,
}: HealOptions<E, Q, F>): RegistryElement<E, Q, F> {
  const watches = new Background("heal", until);
  const watched = new Slot<Watched>("heal/watched");
  const pauses = new Slot<() => number>("heal/pause");

  /**
   * Resolves with the reason when the entry may no longer be registered, or with undefined if it cannot be
   * watched.
   */
  function lost(ctx: Context, name: string, registry: Registry<E, Q, F>): Promise<string | undefined> {
    const like = { name } as Partial<E>;
    const shown = new Subject<void>();
    const stream = unending(registry.find(ctx, kind.query(like, true))).pipe(
      filter((found) => kind.entry(found)?.name === name),
      tap(() => shown.next()),
      filter(kind.isDeleted),
      map(() => "it was deleted"),
    );
    // If an established watch does not show the entry, the entry was deleted before.
    const comparison = delayed(ctx, ESTABLISHED_MS).pipe(
      mergeMap(() => registry.find(ctx, kind.query(like, false))),
      count(),
      filter((entries) => entries === 0),
      map(() => "it was deleted at once"),
      takeUntil(shown),
    );
    return firstValueFrom(
      merge(comparison, stream).pipe(
        catchError((error: unknown) => of(isRetryable(codeOf(error)) ? explain(error) : undefined)),
      ),
    );
  }

  /** The delays grow if a registration is lost again soon after it was repeated. */
  function pauseOf(ctx: Context, fresh: boolean): () => number {
    const pause = (fresh ? undefined : pauses.get(ctx)) ?? backoff({ ...PAUSES, random });
    pauses.set(ctx, pause);
    return pause;
  }

  return {
    name: "heal",
    inside: ["begin", "registration-state"],
    provides: [watches.slot, watched, pauses],
    debugState: () => ({ watches: watches.size }),

    async register(ctx, entry, next) {
      const response = await next.register(ctx, entry);
      const { name } = response;
      const standing = watched.get(ctx);
      if (standing?.name === name && !standing.lost) return response;
      const own: Watched = { name, lost: false };
      watched.set(ctx, own);
      const since = ctx.clock.now();
      watches.start(ctx, async (signal) => {
        const watching = Context.background({ signal, clock: ctx.clock }).with(logger, ctx.get(logger));
        const reason = await lost(watching, name, next);
        if (signal.aborted) return;
        own.lost = true;
        if (reason === undefined) {
          log(ctx).warn(
            { entry: name },
            "the registry rejects watches, a lost registration will not be detected",
          );
          return;
        }
        log(ctx).info({ entry: name, reason }, "registration lost, registering again");
        const pause = pauseOf(ctx, ctx.clock.now() - since > PAUSES.maxMs);
        await sleep(ctx.clock, pause(), signal);
        const { register } = ctx.get(registrationEvents)!;
        await persist(() => register({ signal }), { ctx, signal, pause, what: `registering ${name} again` });
      });
      return response;
    },

    find(ctx, query, next) {
      if (!query.watch) return next.find(ctx, query);
      return steadyWatch({ kind, registry: next, ctx, asked: kind.asked(query), random });
    },

    async unregister(ctx, entry, next) {
      // First, because the deletion that follows is expected.
      watches.stop(ctx);
      await next.unregister(ctx, entry);
    },
  };
}
