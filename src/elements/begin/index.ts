/**
 * Puts the calls of one connection in order: one at a time, as they came, while other connections go on. It
 * remembers the last good Request, so that elements behind it can start a Request or Close of their own
 * (`ctx.get(connectionEvents)`): refresh, timeout and heal live on that. A Close from outside pre-empts such an
 * event, never a Request of the user.
 *
 * Both sides. After update-path, before every element that remembers something. Inside another begin (a client
 * chain at the end of a server chain) it is transparent. Sets `connectionEvents`, `eventCause` and
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
