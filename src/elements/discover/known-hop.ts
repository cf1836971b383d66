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

/** A next hop that took the connection before. */
export interface KnownHop {
  readonly name: string;
  readonly url: string;
}

/** How long a registry without a cache may take to say where a known hop is now. */
const HINT_WITHIN_MS = 500;

/** How long it may take when the hop cannot be reached where it was. */
const LOOK_UP_WITHIN_MS = 5_000;

/** How a known hop is called. */
export interface CallKnownOptions<R> {
  readonly endpoints: EndpointRegistry;
  readonly hop: KnownHop;
  readonly call: (url: string) => Promise<R>;
  /** The NOT_FOUND for a hop that is unreachable and not registered any more. */
  readonly gone: (cause: unknown) => NsmError;
}

/**
 * Calls the hop that a connection goes through already. No registry is needed for that: the hop is where it was,
 * unless a cache knows better. Only when it cannot be reached, or says NOT_FOUND, the registry is asked whether it
 * has moved.
 *
 * @throws NsmError NOT_FOUND when the hop is unreachable and the registry is sure that it is gone; else what the
 * hop failed with
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

/** Where the hop is as far as is known here. */
async function hint(ctx: Context, endpoints: EndpointRegistry, { name, url }: KnownHop): Promise<string> {
  try {
    const at = ctx.with(cachedOnly, true);
    const found = await at.withTimeout(share(ctx, HINT_WITHIN_MS), (c) => findEndpoint(c, endpoints, name));
    return found?.url ?? url;
  } catch {
    return url;
  }
}

/** Where the registry says that it is; undefined when it is not registered. */
async function lookUp(
  ctx: Context,
  endpoints: EndpointRegistry,
  { name }: KnownHop,
): Promise<string | undefined> {
  const at = ctx.with(bypassCache, true);
  const found = await at.withTimeout(share(ctx, LOOK_UP_WITHIN_MS), (c) => findEndpoint(c, endpoints, name));
  return found?.url;
}

/** A registry that hangs must not use up the time of the call. */
function share({ remainingMs = Infinity }: Context, most: number): number {
  return Math.max(0, Math.min(most, remainingMs / 2));
}
