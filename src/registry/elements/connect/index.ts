/**
 * Forwards the calls of a server chain to a client: another registry, or a chain to one. Later elements of the
 * server chain receive the client's answer. If they fail, the client's Register is undone. An error of the
 * client's stream is an error of the Find, not its end.
 *
 * Both registries, server side. Last, or before elements that also process the calls.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { connect } from "nsm-sdk/registry/elements/connect";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 *
 * endpointRegistryChain([
 *   updatePath({ tokens }),
 *   begin(),
 *   connect(remotes.to("tcp://10.0.0.9:5002").endpoints),
 * ]);
 *
 * @packageDocumentation
 */
import { concat, merge } from "rxjs";
import { log, throwFailures, type Registry, type RegistryElement } from "../../../core/index.js";
import type { WatchableQuery } from "../../kinds.js";

/** Creates the element. See the module description. */
export function connect<E, Q extends WatchableQuery, F>(client: Registry<E, Q, F>): RegistryElement<E, Q, F> {
  return {
    name: "connect",

    async register(ctx, entry, next) {
      const response = await client.register(ctx, entry);
      try {
        return await next.register(ctx, response);
      } catch (error) {
        await ctx
          .detached((c) => client.unregister(c, response))
          .catch((err: unknown) => log(ctx).warn({ err }, "could not undo a registration"));
        throw error;
      }
    },

    find(ctx, query, next) {
      // A watch of the client never ends, so later elements must not wait for it.
      return (query.watch ? merge : concat)(client.find(ctx, query), next.find(ctx, query));
    },

    async unregister(ctx, entry, next) {
      const calls = await Promise.allSettled([client.unregister(ctx, entry), next.unregister(ctx, entry)]);
      const failures: unknown[] = calls.flatMap((call) => (call.status === "rejected" ? [call.reason] : []));
      throwFailures(failures, "Unregister failed at the client and in the chain");
    },
  };
}
