import type { Duplex } from "node:stream";
import { createServer, type TLSSocket } from "node:tls";
import { asNsmError, type NsmError } from "../core/index.js";
import { tlsOptions } from "./tls-context.js";
import { assertAuthorized, tlsFailure } from "./tls-failures.js";
import type { X509Source } from "./x509-source.js";

/** Outcomes of the connections that a {@link TlsAcceptor} accepted. */
export interface TlsAcceptorEvents {
  /**
   * Called after the handshake. A `refusal` means that the client is not trusted. The client stays connected
   * so that its calls can fail with the reason, because a TLS server cannot send one.
   */
  secured(socket: TLSSocket, refusal: NsmError | undefined): void;
  /** Called when the handshake failed. The socket is closed. */
  failed(socket: TLSSocket, failure: NsmError): void;
}

/** Runs the server side of TLS on accepted connections. */
export interface TlsAcceptor {
  accept(socket: Duplex): void;
  /** Stops following changes of the identity. Open connections stay. */
  close(): void;
}

/** TLS for an HTTP/2 server. New connections use the newest certificate. */
export function tlsAcceptor(source: X509Source, events: TlsAcceptorEvents): TlsAcceptor {
  const server = createServer({
    ...tlsOptions(source.current()),
    ALPNProtocols: ["h2"],
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on("secureConnection", (socket) => events.secured(socket, refusalOf(socket, source)));
  server.on("tlsClientError", (error, socket) => {
    socket.destroy();
    events.failed(socket, tlsFailure(error, "client", source.current().svid));
  });
  const changes = source.changes.subscribe((context) => server.setSecureContext(tlsOptions(context)));
  return {
    accept: (socket) => void server.emit("connection", socket),
    close: () => changes.unsubscribe(),
  };
}

function refusalOf(socket: TLSSocket, source: X509Source): NsmError | undefined {
  try {
    assertAuthorized(socket, source.current().bundles, Date.now());
    return undefined;
  } catch (error) {
    return asNsmError(error);
  }
}
