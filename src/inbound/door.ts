import { EventEmitter, once } from "node:events";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { ConnectionInjector } from "@grpc/grpc-js";
import { Code, NsmError, systemClock, type CancelTimer, type TransportConnection } from "../core/index.js";
import type { Identity, TlsAcceptor } from "../identity/index.js";
import { connectionUnder, noteAccepted } from "./accepted.js";
import type { completeLimits } from "./limits.js";
import { opening } from "./opening.js";
import type { PeerAccounts } from "./peer-accounts.js";
import type { RefusalLog } from "./refusals.js";

/** What connections are measured by. */
export interface DoorOptions {
  readonly identity: Identity;
  readonly limits: ReturnType<typeof completeLimits>;
  readonly accounts: PeerAccounts;
  readonly refusals: RefusalLog;
}

/** Where connections come in: those that speak TLS and HTTP/2 in time go on to gRPC. */
export class Door {
  private readonly sockets = new Set<Duplex>();
  private readonly early: Duplex[] = [];
  /** Those that do not speak HTTP/2 yet, and the timers that close them. */
  private readonly silent = new Map<Duplex, CancelTimer>();
  private readonly socketOf = new WeakMap<TransportConnection, Duplex>();
  private readonly tls: TlsAcceptor | undefined;
  private readonly left = new EventEmitter();
  private injector: ConnectionInjector | undefined;

  constructor(private readonly options: DoorOptions) {
    this.tls = options.identity.tlsAcceptor({
      secured: (socket, refusal) => this.secured(socket, refusal),
      failed: (socket, failure) => this.refused(connectionUnder(socket), failure),
    });
  }

  /** Takes a connection that was accepted at the address `listenOn`. */
  enter(socket: Duplex, connection: TransportConnection, listenOn: string): void {
    const { accounts, limits } = this.options;
    const account = accounts.open(connection, listenOn);
    socket.once("close", () => accounts.close(account));
    // Until gRPC has taken it over, nobody else would hear it fail.
    socket.on("error", () => socket.destroy());
    if (account.connections > limits.connectionsPerPeer) {
      const full = `${account.peer} has ${limits.connectionsPerPeer} connections open, and no more are allowed`;
      this.refused(connection, new NsmError(Code.ResourceExhausted, full));
      socket.destroy();
      return;
    }
    noteAccepted(socket, connection);
    this.socketOf.set(connection, socket);
    this.sockets.add(socket);
    const cancel = systemClock.after(limits.handshakeMs, () => {
      const late = `the client did not speak TLS and HTTP/2 within ${limits.handshakeMs} ms`;
      this.refused(connection, new NsmError(Code.DeadlineExceeded, late));
      socket.destroy();
    });
    this.silent.set(socket, cancel);
    socket.once("close", () => {
      this.sockets.delete(socket);
      this.spoke(socket);
      if (this.sockets.size === 0) this.left.emit("last");
    });
    if (this.injector) this.begin(socket);
    else this.early.push(socket);
  }

  /** New connections go there; those of the one before are asked to leave when their calls are done. */
  open(injector: ConnectionInjector): void {
    this.injector?.destroy();
    this.injector = injector;
    for (const socket of this.early.splice(0)) this.begin(socket);
  }

  /** Takes no more connections, and closes those that do not speak HTTP/2 yet. */
  close(): void {
    this.tls?.close();
    for (const socket of this.silent.keys()) socket.destroy();
  }

  /** Resolves when the last connection has ended. */
  async empty(): Promise<void> {
    if (this.sockets.size > 0) await once(this.left, "last");
  }

  breakAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private begin(socket: Duplex): void {
    opening(socket, (kind) => {
      if (kind === "tls" && this.tls) return this.tls.accept(socket);
      if (kind === "tls") {
        const text = "the client speaks TLS, and this server runs with --insecure";
        this.refused(connectionUnder(socket), new NsmError(Code.Unauthenticated, text));
      }
      // Without TLS too: each call is refused then, which tells the client why.
      this.spoke(socket);
      this.inject(socket);
    });
  }

  private secured(tls: TLSSocket, refusal: NsmError | undefined): void {
    const connection = connectionUnder(tls);
    const socket = connection && this.socketOf.get(connection);
    tls.on("error", () => tls.destroy());
    if (refusal) this.refused(connection, refusal);
    opening(tls, () => {
      // One that is refused gets its answer, and is closed when its time is over.
      if (socket && !refusal) this.spoke(socket);
      this.inject(tls);
    });
  }

  private inject(socket: Duplex): void {
    this.injector?.injectConnection(socket);
  }

  private spoke(socket: Duplex): void {
    this.silent.get(socket)?.();
    this.silent.delete(socket);
  }

  private refused(connection: TransportConnection | undefined, refusal: NsmError): void {
    const { accounts, refusals } = this.options;
    refusals.report(accounts.of(connection)?.peer ?? "unknown", refusal);
  }
}
