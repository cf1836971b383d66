/**
 * Writes tokens into the path: the caller's into its segment, as it came in the headers of the call, and one for
 * the caller into our own. Request and Close alike, so that tokens are always the latest.
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
import { assertTokenOfPeer, type TokenGenerator } from "../../identity/index.js";

/** Where our own tokens come from. */
export interface UpdateTokenOptions {
  readonly tokens: TokenGenerator;
}

/**
 * See the module's description. A caller without token is logged; whether it may pass is for policies to say.
 *
 * @throws NsmError PERMISSION_DENIED for the token of another identity than the one that TLS proved
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
