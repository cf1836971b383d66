import { fromTimestamp, type NetworkServiceEndpoint } from "../../../api/index.js";
import type { CancelTimer, Context, TransportConnection } from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { SocketReceiver, type PassedSocket } from "../../passed-socket.js";

/** The socket of an endpoint, and the timer of its expiration. */
interface Held {
  readonly socket: PassedSocket;
  cancelExpiry?: CancelTimer | undefined;
}

/** The sockets of found endpoints, one for each name. Each is kept as long as a cache may answer with its endpoint. */
export class EndpointSockets {
  private readonly receiver = new SocketReceiver();
  private readonly held = new Map<string, Held>();

  /** @param until - the lifetime of the program; its end closes all sockets */
  constructor(private readonly until: AbortSignal) {
    atEnd(until, () => [...this.held.keys()].forEach((name) => this.forget(name)));
  }

  get size(): number {
    return this.held.size;
  }

  /** Closes the socket of an endpoint. */
  forget(name: string): void {
    const known = this.held.get(name);
    this.held.delete(name);
    known?.cancelExpiry?.();
    known?.socket.close();
  }

  /** Returns the URL of the endpoint's socket. Receives the socket unless it is here already. */
  async urlOf(
    ctx: Context,
    endpoint: NetworkServiceEndpoint,
    connection: TransportConnection | undefined,
    limitMs?: number,
  ): Promise<string> {
    if (!this.known(endpoint)) {
      const socket = await this.receiver.receive(ctx, connection, endpoint, limitMs);
      // Another Find may have received it meanwhile.
      if (this.until.aborted || this.known(endpoint)) socket.close();
      else this.keep(endpoint.name, socket);
      this.until.throwIfAborted();
    }
    const one = this.known(endpoint)!;
    this.keepUntilExpiry(ctx, endpoint, one);
    return one.socket.url;
  }

  private known({ name, url }: NetworkServiceEndpoint): Held | undefined {
    const one = this.held.get(name);
    return one?.socket.inodeUrl === url ? one : undefined;
  }

  private keep(name: string, socket: PassedSocket): void {
    this.forget(name);
    this.held.set(name, { socket });
  }

  private keepUntilExpiry(ctx: Context, { name, expirationTime }: NetworkServiceEndpoint, one: Held): void {
    one.cancelExpiry?.();
    if (!expirationTime) return;
    const lifetime = Math.max(0, fromTimestamp(expirationTime) - ctx.clock.now());
    one.cancelExpiry = ctx.clock.after(lifetime, () => this.forget(name), { background: true });
  }
}
