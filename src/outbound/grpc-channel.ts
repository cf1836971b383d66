import { Client, connectivityState, Metadata, type ChannelOptions } from "@grpc/grpc-js";
import type { Clock, NsmError, Token } from "../core/index.js";
import { type Identity } from "../identity/index.js";
import { tokenHeaders } from "../identity/token-headers.js";
import { validUntil } from "../identity/certificate.js";
import { AttachableSocket } from "../linux/sockets/attachable-socket.js";
import {
  ChannelConnections,
  CredentialsOfCall,
  type ChannelConnection,
  type ChannelSocket,
} from "./channel-connections.js";
import { pingServer } from "./liveness.js";
import { isAddressTarget } from "../wire/target.js";

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default would keep a channel failing for one second after its peer is back.
  "grpc.initial_reconnect_backoff_ms": 20,
  "grpc.min_reconnect_backoff_ms": 20,
  "grpc.max_reconnect_backoff_ms": 200,
  // Go peers send all connections of a monitor in one message.
  "grpc.max_receive_message_length": -1,
  // Detects a hanging peer. Go servers reject pings more often than every five minutes.
  "grpc.keepalive_time_ms": 310_000,
  // Each channel owns its connection, so that closing the channel closes the connection.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  // NSM servers publish no service configuration. Looking for one in DNS delays the first call.
  "grpc.service_config_disable_resolution": 1,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
};

/** Target, identity and timing of a channel. */
export interface ChannelSettings {
  /** The address as given, for messages. */
  readonly url: string;
  /** The gRPC target. */
  readonly target: string;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  /** Whether its calls may carry attachments. */
  readonly attachable: boolean;
  /** Its calls do not keep the process alive. */
  readonly background: boolean;
}

/** Anything in progress on a channel. */
export interface Cancellable {
  cancel(): void;
}

/** One gRPC channel to one target. It uses one certificate for its whole life. */
export class PooledChannel {
  readonly client: Client;
  /** Calls in progress, each with the number of bytes received when it began. */
  private readonly calls = new Map<Cancellable, number>();
  private readonly sockets = new Set<ChannelSocket>();
  private receivedBefore = 0;
  private pinging = false;
  private silent = false;
  private stale = false;
  private shut = false;
  private freshUntil = Infinity;
  private lastFailure: NsmError | undefined;
  private shown: { readonly token: Token; readonly metadata: Metadata } | undefined;

  /** @param onIdle called when the last call in progress has ended */
  constructor(
    private readonly settings: ChannelSettings,
    private readonly onIdle: () => void,
  ) {
    const { url, target, identity, clock, attachable, background } = settings;
    const connections = new ChannelConnections({
      url,
      attachable,
      background,
      credentials: (onPeer) => identity.channelCredentials(onPeer, (failure) => (this.lastFailure = failure)),
      onSocket: (socket) => this.watch(socket),
      onPeer: (certificate) => {
        const now = clock.now();
        // The peer may later sign with a newer key than the one this connection knows.
        this.freshUntil = now + (validUntil(certificate) - now) / 2;
      },
    });
    this.client = new Client(target, connections, {
      ...CHANNEL_OPTIONS,
      // TLS cannot use an IP address as a server name, and identities do not depend on this name.
      ...(isAddressTarget(target) && { "grpc.ssl_target_name_override": "localhost" }),
    });
  }

  /** Why the latest failed handshake failed. */
  get handshakeFailure(): NsmError | undefined {
    return this.lastFailure;
  }

  /** Whether new calls may use the channel. */
  get fresh(): boolean {
    return !this.stale && this.settings.clock.now() < this.freshUntil;
  }

  /** Whether it is retired and has no calls. */
  get done(): boolean {
    return this.stale && this.calls.size === 0;
  }

  get callCount(): number {
    return this.calls.size;
  }

  /**
   * The credentials of one call: a token for the server that receives it. Attachments are sent before the
   * call.
   */
  credentials(attachments: readonly number[] = []): CredentialsOfCall {
    return new CredentialsOfCall((connection) => {
      for (const fd of attachments) connection.peer.connection?.attachments?.send(fd);
      return this.tokenFor(connection);
    });
  }

  /** Whether the channel was closed because its server stopped answering. */
  get abandoned(): boolean {
    return this.silent;
  }

  /** Whether a connection is established. */
  get connected(): boolean {
    return this.client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  began(call: Cancellable): void {
    this.calls.set(call, this.received);
    if (this.calls.size === 1) this.holdProcess();
  }

  /** @param late whether the call ended by its deadline */
  ended(call: Cancellable, late: boolean): void {
    const unanswered = this.calls.get(call) === this.received;
    this.calls.delete(call);
    if (late && unanswered) this.checkServer();
    if (this.calls.size === 0) this.holdProcess();
    this.closeWhenDone();
    if (this.calls.size === 0) this.onIdle();
  }

  /** Accepts no new calls. Closes when the calls in progress have ended. */
  retire(): void {
    this.stale = true;
    this.closeWhenDone();
  }

  /** Cancels all calls in progress and closes. */
  close(): void {
    this.stale = true;
    for (const call of [...this.calls.keys()]) call.cancel();
    this.shutDown();
  }

  /**
   * Checks whether the server still answers. A connection can die silently, and then every call on it times
   * out.
   */
  private checkServer(): void {
    if (this.pinging || this.shut) return;
    this.pinging = true;
    const before = this.received;
    const ping = pingServer(this.client, this.credentials(), (answered) => {
      this.pinging = false;
      if (!answered && !this.shut && this.received === before) this.abandon();
      this.ended(ping, false);
    });
    this.began(ping);
  }

  /** Closes without waiting: neither the calls in progress nor the shutdown will get an answer. */
  private abandon(): void {
    this.silent = true;
    this.close();
    for (const socket of this.sockets) socket.destroy();
  }

  /** The number of bytes received from the server. */
  private get received(): number {
    return [...this.sockets].reduce((sum, { bytesRead }) => sum + bytesRead, this.receivedBefore);
  }

  private closeWhenDone(): void {
    if (this.done) this.shutDown();
  }

  private shutDown(): void {
    if (this.shut) return;
    this.shut = true;
    const { connected } = this;
    this.client.close();
    // An established connection ends with GOAWAY. A connecting socket would keep trying, so it is destroyed.
    if (!connected) for (const socket of this.sockets) socket.destroy();
  }

  private watch(socket: ChannelSocket): void {
    this.sockets.add(socket);
    const late = setTimeout(() => {
      if (!this.connected)
        socket.destroy(new Error("it accepted the connection but did not complete the handshake"));
    }, this.settings.handshakeTimeoutMs).unref();
    socket.once("close", () => {
      clearTimeout(late);
      this.sockets.delete(socket);
      this.receivedBefore += socket.bytesRead;
    });
    this.holdProcess();
  }

  /** Calls keep the process alive, connections do not. gRPC handles this for Node's own sockets only. */
  private holdProcess(): void {
    for (const socket of this.sockets) {
      if (!(socket instanceof AttachableSocket)) continue;
      if (this.calls.size > 0 && !this.settings.background) socket.ref();
      else socket.unref();
    }
  }

  private tokenFor({ peer }: ChannelConnection): Metadata {
    const token = this.settings.identity.tokens(peer);
    if (this.shown?.token !== token) {
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(tokenHeaders(token))) metadata.set(name, value);
      this.shown = { token, metadata };
    }
    return this.shown!.metadata;
  }
}
