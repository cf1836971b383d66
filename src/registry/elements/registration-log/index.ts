/**
 * Logs the lifecycle of registrations at info level, one line per event: registered, moved (registered again
 * with another URL), unregistered and expired. Renewals are not logged. `registerLog()` logs the failed
 * Registers and Unregisters of callers, and a repeated failure only once.
 *
 * Endpoint registry, server side. registrationLog() after registration-state; registerLog() as the first
 * element, for both registries. Reads `eventCause` and `logger`. Log lines never contain tokens.
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

/** The last logged state of a registration. */
interface Logged {
  readonly endpoint: string;
  url: string;
}

/** Creates the element. See the module description. */
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
    // One value for the whole life of the registration, so that it is released at its end only.
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

/** Creates the element. See the module description. */
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
