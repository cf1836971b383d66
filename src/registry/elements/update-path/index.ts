/**
 * Writes this hop into the path of a registration: the caller's token at its place, an own token behind it, and
 * both SPIFFE ids into the entry's `pathIds`. After the call the path's index stands where it stood on arrival,
 * whether the call succeeded or not.
 *
 * Both registries, server side, first in the chain. Reads `peer` and `registrationPath` (a call without a path
 * starts one), sets `registrationPath` and `ownTokenExpiry` for those behind. Throws INVALID_ARGUMENT for a path
 * whose index is no place among its segments. With TLS the caller's id is that of its certificate, and a token of
 * another identity is rejected with PERMISSION_DENIED.
 *
 * Source: NSM registry protocol, "updatepath".
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([updatePath({ tokens: identity.tokens }), begin(), memoryEndpoints()]);
 *
 * @packageDocumentation
 */
import type { Timestamp } from "../../../api/index.js";
import {
  Code,
  ContextKey,
  log,
  NsmError,
  peer,
  type Context,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import { registrationPath, type RegistrationPath } from "../../../wire/index.js";
import { assertTokenOfPeer, subjectOf, type TokenGenerator } from "../../../identity/index.js";

/** When the token that this hop made for the call runs out. Set by update-path, read by expire. */
export const ownTokenExpiry = new ContextKey<Timestamp>("own-token-expiry");

const NO_PATH: RegistrationPath = { index: 0, segments: [] };

/** What update-path signs with. */
export interface UpdatePathOptions {
  readonly tokens: TokenGenerator;
}

/** See the module's description. */
export function updatePath<E extends RegistryEntry, Q, F>({
  tokens,
}: UpdatePathOptions): RegistryElement<E, Q, F> {
  async function through<R>(
    ctx: Context,
    entry: E,
    call: (ctx: Context, entry: E) => Promise<R>,
  ): Promise<R> {
    const outer = ctx.get(registrationPath);
    const arrived = checked(outer?.current);
    const caller = ctx.get(peer);
    const theirs = caller?.token?.token ?? "";
    if (theirs === "")
      log(ctx).warn({ entry: entry.name, peer: caller?.address }, "the caller sent no token");
    if (caller) assertTokenOfPeer(caller, theirs);
    const ours = tokens(caller);

    const path = extend(arrived, theirs, ours.token);
    const pathIds = [...entry.pathIds];
    putAt(pathIds, path.index - 1, caller?.spiffeId ?? subjectOf(theirs) ?? "");
    putAt(pathIds, path.index, subjectOf(ours.token) ?? "");

    // Those behind write to a holder of their own: a failed call leaves the caller's path as it was.
    const holder = { current: path };
    const inner = ctx.with(registrationPath, holder).with(ownTokenExpiry, ours.expires);
    const result = await call(inner, { ...entry, pathIds });
    if (outer) outer.current = { index: arrived.index, segments: holder.current.segments };
    return result;
  }

  return {
    name: "update-path",
    register: (ctx, entry, next) => through(ctx, entry, (c, own) => next.register(c, own)),
    unregister: (ctx, entry, next) => through(ctx, entry, (c, own) => next.unregister(c, own)),
  };
}

/** The path as it arrived; one without segments begins here, whatever its index. */
function checked({ index, segments }: RegistrationPath = NO_PATH): RegistrationPath {
  if (segments.length === 0) return NO_PATH;
  if (Number.isInteger(index) && index >= 0 && index < segments.length) return { index, segments };
  throw new NsmError(
    Code.InvalidArgument,
    `the path's index is ${index}; with ${segments.length} segments it must be 0 to ${segments.length - 1}`,
  );
}

/** The path one hop further: what stood at and behind the sender's place is overwritten. */
function extend({ index: at, segments }: RegistrationPath, theirs: string, ours: string): RegistrationPath {
  const extended = [...segments];
  extended[at] = { ...extended[at], token: theirs };
  extended[at + 1] = { ...extended[at + 1], token: ours };
  return { index: at + 1, segments: extended };
}

function putAt(ids: string[], index: number, id: string): void {
  if (index < ids.length) ids[index] = id;
  else ids.push(id);
}
