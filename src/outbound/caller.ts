import type { Observable } from "rxjs";
import { ContextKey, type Context, type Peer } from "../core/index.js";

/** Encodes requests and decodes answers of one method. Generated. */
export interface Method<Q, A> {
  readonly path: string;
  requestSerialize(message: Q): Buffer;
  responseDeserialize(bytes: Buffer): A;
}

/** Makes unary and streaming calls to one remote, over any transport. */
export interface Caller {
  /** Makes a unary call. `options` decides whether the registration path travels in the headers. */
  unary<Q, A>(ctx: Context, method: Method<Q, A>, message: Q, options?: UnaryOptions): Promise<A>;
  /** Makes a streaming call. Each subscription is one call; unsubscribing cancels it. */
  stream<Q, A>(ctx: Context, method: Method<Q, A>, message: Q): Observable<A>;
}

/** Options of a unary call. */
export interface UnaryOptions {
  /** Sends `registrationPath` of the Context, and replaces it with the path in the answer. Default: false. */
  readonly carriesPath?: boolean;
}

/**
 * Descriptors to send with the calls of this Context, on the same connection. The receiver finds them in
 * `Peer.connection`, by the inode URLs in the message. The caller keeps them open until the call has ended,
 * then closes them.
 *
 * With this key, even with an empty list, calls use a connection on which answers can bring descriptors too.
 * This works on unix sockets and in memory. Elsewhere, or without the native module, calls carry no
 * descriptors.
 *
 * @example
 * import { attachments } from "nsm-sdk/outbound";
 *
 * const answer = await remotes
 *   .to(connectTo)
 *   .networkService.request(ctx.with(attachments, [namespaces.client.fd]), request);
 */
export const attachments = new ContextKey<readonly number[]>("attachments");

/** Receives the identity of the server that answered. */
export interface ServerPeerHolder {
  current?: Peer | undefined;
}

/**
 * Set a holder before a call. Afterwards `current` is the server at the other end of the call's connection,
 * or undefined if the call got no connection. Policies that check answers use it.
 */
export const serverPeer = new ContextKey<ServerPeerHolder>("server-peer");
