/**
 * Writes tokens into the path: the caller's token, from the headers of the call, into the caller's segment, and
 * a token for the caller into the own segment. It does so on Request and Close, so that tokens are always the
 * latest.
 *
 * Server side. After update-path and begin, before authorize and timeout. Reads `peer`. NSM protocol, path and
 * segment rules.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { updateToken } from "nsm-sdk/elements/update-token";
 *
 * chain([updatePath({ name }), beginServer(), updateToken({ tokens: identity.tokens }), connectionState()]);
 *
 * @packageDocumentation
 */
import { connectionOf, patchSegment, pathOf, previousSegment, type Connection } from "../../api/index.js";
import { log, peer, type Context, type NetworkServiceElement } from "../../core/index.js";
import { type TokenGenerator } from "../../identity/index.js";
import { assertTokenOfPeer } from "../../identity/token-subject.js";

/** Options of updateToken(). */
export interface UpdateTokenOptions {
  readonly tokens: TokenGenerator;
}

/**
 * Creates the element. See the module description. A caller without a token is logged; policies decide whether
 * to reject it.
 *
 * @throws NsmError PERMISSION_DENIED if the token belongs to another identity than the one that TLS verified
 */
export function updateToken({ tokens }: UpdateTokenOptions): NetworkServiceElement {
  const signed = (ctx: Context, connection: Connection): Connection => {
    const caller = ctx.get(peer);
    const { index } = pathOf(connection);
    if (caller && !caller.token) {
      log(ctx).warn({ connection: connection.id, peer: caller.address }, "the caller sent no token");
    }
    const received = caller?.token ? patchSegment(connection, index - 1, caller.token) : connection;
    if (caller) assertTokenOfPeer(caller, previousSegment(received)?.token ?? "");
    return patchSegment(received, index, tokens(caller));
  };

  return {
    name: "update-token",
    inside: ["update-path"],
    outside: ["authorize", "timeout"],
    request: async (ctx, request, next) =>
      next.request(ctx, { ...request, connection: signed(ctx, connectionOf(request)) }),
    close: async (ctx, connection, next) => next.close(ctx, signed(ctx, connection)),
  };
}
