/**
 * A client. `connectService()` establishes a connection with one call. `client()` is the chain that its
 * Requests pass.
 *
 * @example
 * import { connectService, fileIdentity } from "nsm-sdk";
 *
 * const connected = connectService({
 *   name: "nsc-0",
 *   service: "firewall",
 *   connectTo: "unix:///var/lib/networkservicemesh/nsm.io.sock",
 *   identity: await fileIdentity("/run/identity"),
 * });
 * await connected.established;
 *
 * @packageDocumentation
 */
export { client, type Client, type ClientOptions } from "./client.js";
export type { ConnectServiceOptions } from "./connect-options.js";
export { connectService } from "./connect-service.js";
export type { ServiceConnection } from "./service-connection.js";
export type {
  ServiceClosed,
  ServiceConnected,
  ServiceEvent,
  ServiceFailed,
  ServiceHealing,
} from "./service-events.js";
