/**
 * The endpoint chain: the elements that a Request passes in every server process, before the elements that make
 * it a firewall, a manager or a forwarder.
 *
 * @example
 * import { pointToPointIpam } from "nsm-sdk";
 * import { endpoint } from "nsm-sdk/chains/endpoint";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const nse = endpoint({
 *   name: "nse-1",
 *   tokens: identity.tokens,
 *   until,
 *   elements: [pointToPointIpam({ prefixes })],
 * });
 * await grpcServer({ identity, listenOn: ["tcp://127.0.0.1:0"], services: nse });
 *
 * @packageDocumentation
 */
export { endpoint, type Endpoint, type EndpointOptions } from "./endpoint.js";
export {
  serveEndpoint,
  type ServedEndpoint,
  type ServeEndpointOptions,
  type Serving,
  type Transport,
} from "./serve.js";
