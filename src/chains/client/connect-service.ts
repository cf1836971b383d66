import { grpcRemotes } from "../../outbound/index.js";
import { assertTexts, assertTimeLimits } from "../options.js";
import type { ConnectServiceOptions } from "./connect-options.js";
import { RunningConnection, type ServiceConnection } from "./service-connection.js";

/**
 * Connects to a network service: requests the connection until it is established, then refreshes it and heals
 * it until `close()`. A permanent failure ends it, and `established` rejects. NOT_FOUND is retried, because the
 * service may be registered later.
 *
 * An established connection does not keep the Node process alive. A pending Request and `close()` do.
 *
 * @throws NsmError INVALID_ARGUMENT for an option with a value that is not allowed, FAILED_PRECONDITION for
 * `elements` in an invalid order. What happens later is reported by `established` and `events`.
 *
 * @example
 * import { connectService, explain, fileIdentity } from "nsm-sdk";
 *
 * const identity = await fileIdentity("/run/identity");
 * const firewall = connectService({
 *   name: "nsc-0",
 *   service: "firewall",
 *   connectTo: "unix:///var/lib/networkservicemesh/nsm.io.sock",
 *   identity,
 *   interfaceName: "nsm-1",
 * });
 * firewall.events.subscribe((event) => {
 *   if (event.type === "failed") console.error(explain(event.error));
 *   else console.log(event.type, firewall.path.map(({ name }) => name).join(" -> "));
 * });
 * const { context } = await firewall.established;
 * console.log(context?.ipContext?.srcIpAddrs);
 * process.once("SIGTERM", () => void firewall.close().finally(() => identity.close()));
 */
export function connectService(options: ConnectServiceOptions): ServiceConnection {
  const { name, service, connectTo, identity, clock, tryTimeoutMs } = options;
  assertTexts("connectService()", { name, service, connectTo });
  assertTimeLimits("connectService()", { tryTimeoutMs });
  if (options.remotes) return new RunningConnection(options, options.remotes, undefined);
  const own = grpcRemotes({ identity, clock, background: true });
  try {
    return new RunningConnection(options, own, own);
  } catch (error) {
    own.close();
    throw error;
  }
}
