import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { ServerInterceptingCall, ServerInterceptor } from "@grpc/grpc-js";
import type { TransportConnection } from "../core/index.js";
import { type ServerCall } from "../identity/index.js";
import { streamOf } from "../identity/server-credentials.js";

const accepted = Symbol("accepted");

/** A socket, as Node's TLS and HTTP/2 wrap it. */
interface Layer {
  readonly [accepted]?: TransportConnection;
  /** What TLS reads from: a Node socket, or Node's wrapper around another stream. */
  readonly _parent?: Layer | null;
  readonly ssl?: { readonly _parentWrap?: Layer } | null;
  /** The stream inside Node's socket wrapper. */
  readonly stream?: Layer;
}

/** Attaches the listener's connection to a socket, before TLS and HTTP/2 start on it. */
export function noteAccepted(socket: Duplex, connection: TransportConnection): void {
  Object.defineProperty(socket, accepted, { value: connection });
}

/**
 * Finds the transport connection of a call. The interceptor looks it up when the call begins, because gRPC
 * drops a connection that has ended while a handler may still need it.
 *
 * The lookup from the HTTP/2 session to the socket uses fields that Node does not document. If a version of
 * Node changes them, calls have no connection, and their callers count as remote.
 */
export class CallConnections {
  private readonly known = new WeakMap<ServerHttp2Stream, TransportConnection>();

  /** Looks up the connection of each call before its handler runs. Does not change the call. */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    const stream = streamOf(call);
    const connection = stream && connectionUnder(stream.session?.socket);
    if (connection) this.known.set(stream, connection);
    // The type requires a wrapper; grpc-js accepts the call itself.
    return call as ServerInterceptingCall;
  };

  of(call: ServerCall): TransportConnection | undefined {
    const stream = streamOf(call);
    return stream && this.known.get(stream);
  }
}

/** The connection that `noteAccepted` attached to the innermost socket. */
export function connectionUnder(socket: Duplex | undefined): TransportConnection | undefined {
  const inner = (layer: Layer): Layer | undefined => layer._parent ?? layer.ssl?._parentWrap ?? layer.stream;
  for (let layer = socket as Layer | undefined; layer; layer = inner(layer)) {
    const connection = layer[accepted];
    if (connection) return connection;
  }
  return undefined;
}
