import type { Observable } from "rxjs";
import { ContextKey, type Context, type Peer } from "../core/index.js";

/** How messages of one method become bytes and back; generated. */
export interface Method<Q, A> {
  readonly path: string;
  requestSerialize(message: Q): Buffer;
  responseDeserialize(bytes: Buffer): A;
}

/** What every kind of remote can do: calls of one answer and of many. */
export interface Caller {
  /** Whether the registration path goes along in the headers is up to the caller of this. */
  unary<Q, A>(ctx: Context, method: Method<Q, A>, message: Q, options?: UnaryOptions): Promise<A>;
  /** Each subscription is a call of its own; unsubscribing cancels it. */
  stream<Q, A>(ctx: Context, method: Method<Q, A>, message: Q): Observable<A>;
}

/** What goes along with a call of one answer. */
export interface UnaryOptions {
  /** Sends `registrationPath` of the Context and replaces it by what the answer says. */
  readonly carriesPath?: boolean;
}

/**
 * Descriptors that go along with the calls made in this Context, on the same connection: the receiver finds them in
 * `Peer.connection`, by the inode URLs in the message. They must stay open until the call has ended, and are the
 * caller's to close.
 *
 * Calls with this key, be the list empty, go over a connection on which answers may bring descriptors, too: on unix
 * sockets and in memory. Elsewhere, and where the native module is missing, they go without.
 *
 * @example
 * import { attachments } from "nsm-sdk/outbound";
 *
 * const answer = await remotes
 *   .to(connectTo)
 *   .networkService.request(ctx.with(attachments, [namespaces.client.fd]), request);
 */
export const attachments = new ContextKey<readonly number[]>("attachments");

/** Where a remote puts who answered. */
export interface ServerPeerHolder {
  current?: Peer | undefined;
}

/**
 * Put a holder in, and after the call it says who the server was: the other end of the connection that the call went
 * over; nobody when it got none. For policies that check answers.
 */
export const serverPeer = new ContextKey<ServerPeerHolder>("server-peer");
