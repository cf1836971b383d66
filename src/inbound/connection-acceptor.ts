import { EventEmitter, once } from "node:events";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { ConnectionInjector } from "@grpc/grpc-js";
import { Code, NsmError, systemClock, type CancelTimer, type TransportConnection } from "../core/index.js";
import type { Identity } from "../identity/index.js";
import type { TlsAcceptor } from "../identity/tls-acceptor.js";
import { connectionUnder, noteAccepted } from "./call-connections.js";
import { detectProtocol } from "./detect-protocol.js";
import type { completeLimits } from "./limits.js";
import type { PeerAccounts } from "./peer-accounts.js";
import type { RefusalLog } from "./refusals.js";

/** The identity, the limits and the log that an acceptor works with. */
export interface ConnectionAcceptorOptions {
  readonly identity: Identity;
  readonly limits: ReturnType<typeof completeLimits>;
  readonly accounts: PeerAccounts;
  readonly refusals: RefusalLog;
}

/**
 * Limits accepted connections and runs their TLS handshake. A connection that begins HTTP/2 in time goes on to gRPC;
 * the acceptor closes all others.
 */
export class ConnectionAcceptor {
  private readonly sockets = new Set<Duplex>();
  /** Connections accepted before the first injector was set. */
  private readonly waiting: Duplex[] = [];
  /** Connections that have not begun HTTP/2, and the timers that close them. */
  private readonly handshaking = new Map<Duplex, CancelTimer>();
  private readonly socketOf = new WeakMap<TransportConnection, Duplex>();
  private readonly emptied = new EventEmitter();
  private readonly tls: TlsAcceptor | undefined;
  private injector: ConnectionInjector | undefined;

  constructor(private readonly options: ConnectionAcceptorOptions) {
    this.tls = options.identity.tlsAcceptor({
      secured: (socket, refusal) => this.tlsEstablished(socket, refusal),
      failed: (socket, failure) => this.reportRefusal(connectionUnder(socket), failure),
    });
  }

  /** Takes ownership of a connection that the listener at `listenOn` accepted. */
  accept(socket: Duplex, connection: TransportConnection, listenOn: string): void {
    const { accounts, limits } = this.options;
    const account = accounts.open(connection, listenOn);
    socket.once("close", () => accounts.close(account));
    // gRPC handles errors only once it owns the socket.
    socket.on("error", () => socket.destroy());
    if (account.connections > limits.connectionsPerPeer) {
      const full = `${account.peer} has ${limits.connectionsPerPeer} open connections, which is the limit`;
      this.reportRefusal(connection, new NsmError(Code.ResourceExhausted, full));
      socket.destroy();
      return;
    }
    noteAccepted(socket, connection);
    this.socketOf.set(connection, socket);
    this.sockets.add(socket);
    const cancel = systemClock.after(limits.handshakeMs, () => {
      const late = `the client did not complete TLS and start HTTP/2 within ${limits.handshakeMs} ms`;
      this.reportRefusal(connection, new NsmError(Code.DeadlineExceeded, late));
      socket.destroy();
    });
    this.handshaking.set(socket, cancel);
    socket.once("close", () => {
      this.sockets.delete(socket);
      this.handshakeDone(socket);
      if (this.sockets.size === 0) this.emptied.emit("emptied");
    });
    if (this.injector) this.handshake(socket);
    else this.waiting.push(socket);
  }

  /**
   * Sends new connections to `injector`. The previous injector asks its clients to leave after their calls.
   */
  forwardTo(injector: ConnectionInjector): void {
    this.injector?.destroy();
    this.injector = injector;
    for (const socket of this.waiting.splice(0)) this.handshake(socket);
  }

  /** Stops TLS handshakes and closes the connections that have not begun HTTP/2. */
  close(): void {
    this.tls?.close();
    for (const socket of this.handshaking.keys()) socket.destroy();
  }

  /** Destroys every open connection. */
  destroyAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Resolves when the last connection has ended. */
  async empty(): Promise<void> {
    if (this.sockets.size > 0) await once(this.emptied, "emptied");
  }

  private handshake(socket: Duplex): void {
    detectProtocol(socket, (protocol) => {
      if (protocol === "tls" && this.tls) return this.tls.accept(socket);
      if (protocol === "tls") {
        const text = "the client uses TLS, but this server runs with --insecure";
        this.reportRefusal(connectionUnder(socket), new NsmError(Code.Unauthenticated, text));
      }
      // With an identity, a client without TLS reaches this point too. gRPC then rejects its calls, which
      // explains why.
      this.handshakeDone(socket);
      this.inject(socket);
    });
  }

  private tlsEstablished(tls: TLSSocket, refusal: NsmError | undefined): void {
    const connection = connectionUnder(tls);
    const socket = connection && this.socketOf.get(connection);
    tls.on("error", () => tls.destroy());
    if (refusal) this.reportRefusal(connection, refusal);
    detectProtocol(tls, () => {
      // A refused client keeps its timer: its calls receive their refusals until the timer closes the
      // connection.
      if (socket && !refusal) this.handshakeDone(socket);
      this.inject(tls);
    });
  }

  private inject(socket: Duplex): void {
    this.injector?.injectConnection(socket);
  }

  private handshakeDone(socket: Duplex): void {
    this.handshaking.get(socket)?.();
    this.handshaking.delete(socket);
  }

  private reportRefusal(connection: TransportConnection | undefined, refusal: NsmError): void {
    const { accounts, refusals } = this.options;
    refusals.report(accounts.of(connection)?.peer ?? "unknown", refusal);
  }
}
