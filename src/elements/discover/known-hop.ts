import {
  attempt,
  Code,
  codeOf,
  type Context,
  type EndpointRegistry,
  type NsmError,
} from "../../core/index.js";
import { cachedOnly, bypassCache } from "../../registry/index.js";
import { findEndpoint } from "./find.js";

/** A next hop that accepted the connection before. */
export interface KnownHop {
  readonly name: string;
  readonly url: string;
}

/** Time limit of the lookup before the call, in milliseconds. It matters only for registries without a cache. */
const HINT_WITHIN_MS = 500;

/** Time limit of the lookup after the hop was unreachable, in milliseconds. */
const LOOK_UP_WITHIN_MS = 5_000;

/** Options of callKnown(). */
export interface CallKnownOptions<R> {
  readonly endpoints: EndpointRegistry;
  readonly hop: KnownHop;
  readonly call: (url: string) => Promise<R>;
  /** Creates the NOT_FOUND error for a hop that is unreachable and no longer registered. */
  readonly gone: (cause: unknown) => NsmError;
}

/**
 * Calls the hop that already carries a connection. This needs no registry: the call uses the known address,
 * unless a cache has a newer one. If the hop is unreachable or answers NOT_FOUND, callKnown() looks up in the
 * registry whether it has moved.
 *
 * @throws NsmError NOT_FOUND if the hop is unreachable and no longer registered; otherwise the failure of the
 * hop
 */
export async function callKnown<R>(
  ctx: Context,
  { endpoints, hop, call, gone }: CallKnownOptions<R>,
): Promise<R> {
  const url = await hint(ctx, endpoints, hop);
  try {
    return await attempt(ctx, () => call(url));
  } catch (error) {
    if (ctx.signal.aborted || !mayHaveMoved(error)) throw error;
    const found = await lookUp(ctx, endpoints, hop).catch(() => Promise.reject(error));
    if (found === undefined) throw gone(error);
    if (found === url) throw error;
    return call(found);
  }
}

function mayHaveMoved(error: unknown): boolean {
  const code = codeOf(error);
  return code === Code.Unavailable || code === Code.NotFound;
}

/** The address of the hop according to the local cache. */
async function hint(ctx: Context, endpoints: EndpointRegistry, { name, url }: KnownHop): Promise<string> {
  try {
    const at = ctx.with(cachedOnly, true);
    const found = await at.withTimeout(share(ctx, HINT_WITHIN_MS), (c) => findEndpoint(c, endpoints, name));
    return found?.url ?? url;
  } catch {
    return url;
  }
}

/** The address of the hop according to the registry, or undefined if it is not registered. */
async function lookUp(
  ctx: Context,
  endpoints: EndpointRegistry,
  { name }: KnownHop,
): Promise<string | undefined> {
  const at = ctx.with(bypassCache, true);
  const found = await at.withTimeout(share(ctx, LOOK_UP_WITHIN_MS), (c) => findEndpoint(c, endpoints, name));
  return found?.url;
}

/** Limits a lookup to half of the remaining time, because the registry may hang. */
function share({ remainingMs = Infinity }: Context, most: number): number {
  return Math.max(0, Math.min(most, remainingMs / 2));
}
