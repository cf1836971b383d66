/**
 * Logs the life of registrations at info level, one line each: registered, moved (registered again with another
 * URL), unregistered and expired. Renewals are not logged. `registerLog()` logs the Registers and Unregisters of
 * callers that failed; a failure that repeats is logged once.
 *
 * Registry of endpoints, server side. registrationLog() after registration-state; registerLog() first of all, for
 * both registries. Reads `eventCause` and `logger`. No line has a token.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { registerLog, registrationLog } from "nsm-sdk/registry/elements/registration-log";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([
 *   registerLog(),
 *   updatePath({ tokens }),
 *   begin(),
 *   registrationState(),
 *   registrationLog(),
 *   memoryEndpoints(),
 * ]);
 *
 * @packageDocumentation
 */
import type { NetworkServiceEndpoint } from "../../../api/index.js";
import {
  eventCause,
  log,
  Slot,
  type ChainElement,
  type Context,
  type EndpointRegistry,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import { FailureLog } from "../../../core/failure-log.js";

/** A registration as it was logged. */
interface Logged {
  readonly endpoint: string;
  url: string;
}

/** See the module's description. */
export function registrationLog(): ChainElement<EndpointRegistry> {
  const logged = new Slot<Logged>("registration-log", {
    release: ({ endpoint, url }, ctx) =>
      log(ctx).info(
        { endpoint, url },
        ctx.get(eventCause) === "timeout" ? "registration expired" : "unregistered",
      ),
  });

  const register = (ctx: Context, entry: NetworkServiceEndpoint): void => {
    const { name: endpoint, url, networkServiceNames: services } = entry;
    const known = logged.get(ctx);
    if (known?.url !== url) log(ctx).info({ endpoint, services, url }, known ? "moved" : "registered");
    // One value for the whole life: it is released when the registration ends.
    if (known) known.url = url;
    else logged.set(ctx, { endpoint, url });
  };

  return {
    name: "registration-log",
    inside: ["registration-state"],
    provides: [logged],
    async register(ctx, endpoint, next) {
      const response = await next.register(ctx, endpoint);
      register(ctx, response);
      return response;
    },
  };
}

/** See the module's description. */
export function registerLog<E extends RegistryEntry, Q, F>(): RegistryElement<E, Q, F> {
  const registers = new FailureLog("registration");
  const unregisters = new FailureLog("removal of a registration");

  async function logged<R>(
    failures: FailureLog,
    ctx: Context,
    { name }: E,
    work: () => Promise<R>,
  ): Promise<R> {
    try {
      const result = await work();
      failures.succeeded(name);
      return result;
    } catch (error) {
      failures.failed(ctx, name, error, { entry: name });
      throw error;
    }
  }

  return {
    name: "registration-log/registers",
    register: (ctx, entry, next) => logged(registers, ctx, entry, () => next.register(ctx, entry)),
    unregister: (ctx, entry, next) => logged(unregisters, ctx, entry, () => next.unregister(ctx, entry)),
  };
}
