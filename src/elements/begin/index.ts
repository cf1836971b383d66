/**
 * Serializes the calls of one connection. They run one at a time in the order of arrival, while other
 * connections proceed in parallel. begin remembers the last successful Request, so that elements after it can
 * start a Request or Close of their own (`ctx.get(connectionEvents)`). refresh, timeout and heal use this. A
 * Close from outside preempts such an event, but never a Request from outside.
 *
 * Both sides. After update-path, before every element that keeps state. Inside another begin (a client chain at
 * the end of a server chain) it forwards calls unchanged. Sets `connectionEvents`, `eventCause` and
 * `liveConnections`.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { timeout } from "nsm-sdk/elements/timeout";
 *
 * chain([updatePath({ name }), beginServer(), connectionState(), timeout()]);
 *
 * @packageDocumentation
 */
export { beginClient, type BeginClientOptions } from "./client.js";
export { beginServer, type BeginServerOptions } from "./server.js";
