import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { ServerInterceptingCall, ServerInterceptor } from "@grpc/grpc-js";
import type { TransportConnection } from "../core/index.js";
import { streamOf, type ServerCall } from "../identity/index.js";

const accepted = Symbol("accepted");

/** A socket as Node's TLS and HTTP/2 wrap it. */
interface Layer {
  readonly [accepted]?: TransportConnection;
  /** What TLS reads from: a socket of Node, or what it wraps another stream in. */
  readonly _parent?: Layer | null;
  readonly ssl?: { readonly _parentWrap?: Layer } | null;
  /** What Node makes a socket of that is none of its own. */
  readonly stream?: Layer;
}

/** Notes what the listener knows of a connection, before TLS and HTTP/2 begin on it. */
export function noteAccepted(socket: Duplex, connection: TransportConnection): void {
  Object.defineProperty(socket, accepted, { value: connection });
}

/**
 * Which transport connection a call came in on. Learned when the call begins: when its handler asks, the
 * connection may be gone, and then gRPC knows nothing of it any more.
 *
 * An HTTP/2 session tells its socket, and the wrappers of a socket what is inside, in fields that Node does not
 * document. Should they change, calls have no connection, and whoever has none counts as remote.
 */
export class CallConnections {
  private readonly known = new WeakMap<ServerHttp2Stream, TransportConnection>();

  /** Sees each call before its handler; changes nothing. */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    const stream = streamOf(call);
    const connection = stream && connectionUnder(stream.session?.socket);
    if (connection) this.known.set(stream, connection);
    // Any call of grpc-js will do; its types ask for one that changes something.
    return call as ServerInterceptingCall;
  };

  of(call: ServerCall): TransportConnection | undefined {
    const stream = streamOf(call);
    return stream && this.known.get(stream);
  }
}

/** What was noted of the connection at the bottom of a socket. */
export function connectionUnder(socket: Duplex | undefined): TransportConnection | undefined {
  const inner = (layer: Layer): Layer | undefined => layer._parent ?? layer.ssl?._parentWrap ?? layer.stream;
  for (let layer = socket as Layer | undefined; layer; layer = inner(layer)) {
    const connection = layer[accepted];
    if (connection) return connection;
  }
  return undefined;
}
