/**
 * Adds this hop to the path of a registration: the caller's token in the caller's segment, an own token in the
 * next segment, and both SPIFFE ids in the entry's `pathIds`. After the call, the path has the index that it
 * had on arrival, whether the call succeeded or not.
 *
 * Both registries, server side, first in the chain. Reads `peer` and `registrationPath` (a call without a path
 * starts one); sets `registrationPath` and `ownTokenExpiry` for later elements. Throws INVALID_ARGUMENT if the
 * index of a path is not one of its segments. With TLS, the caller's id comes from its certificate, and a token
 * of another identity is rejected with PERMISSION_DENIED.
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
import { type TokenGenerator } from "../../../identity/index.js";
import { assertTokenOfPeer, subjectOf } from "../../../identity/token-subject.js";

/** Expiry of the token that this hop created for the call. Set by update-path, read by expire. */
export const ownTokenExpiry = new ContextKey<Timestamp>("own-token-expiry");

const NO_PATH: RegistrationPath = { index: 0, segments: [] };

/** Options of updatePath(). */
export interface UpdatePathOptions {
  readonly tokens: TokenGenerator;
}

/** Creates the element. See the module description. */
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

    // Later elements write to a separate holder, so that a failed call does not change the caller's path.
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

/** Checks the path on arrival. A path without segments starts here, whatever its index. */
function checked({ index, segments }: RegistrationPath = NO_PATH): RegistrationPath {
  if (segments.length === 0) return NO_PATH;
  if (Number.isInteger(index) && index >= 0 && index < segments.length) return { index, segments };
  throw new NsmError(
    Code.InvalidArgument,
    `invalid path index ${index}: with ${segments.length} segments, allowed are 0 to ${segments.length - 1}`,
  );
}

/** Extends the path by one hop. Overwrites the tokens of the sender's segment and the next one. */
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
