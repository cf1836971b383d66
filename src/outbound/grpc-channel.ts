import { Client, connectivityState, Metadata, type ChannelOptions } from "@grpc/grpc-js";
import type { Clock, NsmError, Token } from "../core/index.js";
import { tokenHeaders, validUntil, type Identity } from "../identity/index.js";
import { AttachableSocket } from "../linux/index.js";
import {
  ChannelConnections,
  CredentialsOfCall,
  type ChannelConnection,
  type ChannelSocket,
} from "./channel-connections.js";
import { pingServer } from "./liveness.js";
import { isAddressTarget } from "../wire/target.js";

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default keeps a channel failing for a second after its peer is back.
  "grpc.initial_reconnect_backoff_ms": 20,
  "grpc.min_reconnect_backoff_ms": 20,
  "grpc.max_reconnect_backoff_ms": 200,
  // A Go peer sends all connections of a monitor in one message.
  "grpc.max_receive_message_length": -1,
  // Finds a peer that hangs. Go servers refuse pings more often than every five minutes.
  "grpc.keepalive_time_ms": 310_000,
  // A connection belongs to one channel, so that closing the channel closes it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  // Nobody publishes service configurations; asking DNS for them delays the first call.
  "grpc.service_config_disable_resolution": 1,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
};

/** Where a channel leads, as whom, and how patiently. */
export interface ChannelSettings {
  /** As it was given, for people. */
  readonly url: string;
  /** As gRPC takes it. */
  readonly target: string;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
  /** Its calls may have attachments. */
  readonly attachable: boolean;
  /** Its calls do not keep the process alive. */
  readonly background: boolean;
}

/** Anything under way on a channel. */
export interface Cancellable {
  cancel(): void;
}

/** One gRPC channel to one target, showing one certificate for as long as it lives. */
export class PooledChannel {
  readonly client: Client;
  /** Each with what had been received when it began. */
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

  /** @param onIdle called when the last call under way has ended */
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
        // What the peer signs later, it may sign with a newer key than the one this connection knows.
        this.freshUntil = now + (validUntil(certificate) - now) / 2;
      },
    });
    this.client = new Client(target, connections, {
      ...CHANNEL_OPTIONS,
      // TLS may not name an address as the server wanted, and nobody looks at this name.
      ...(isAddressTarget(target) && { "grpc.ssl_target_name_override": "localhost" }),
    });
  }

  /** Why the newest failed handshake failed. */
  get handshakeFailure(): NsmError | undefined {
    return this.lastFailure;
  }

  /** Whether new calls may begin on it. */
  get fresh(): boolean {
    return !this.stale && this.settings.clock.now() < this.freshUntil;
  }

  /** Whether it is closed. */
  get done(): boolean {
    return this.stale && this.calls.size === 0;
  }

  get callCount(): number {
    return this.calls.size;
  }

  /** The credentials of one call: a token for the server that gets it. The attachments travel before the call. */
  credentials(attachments: readonly number[] = []): CredentialsOfCall {
    return new CredentialsOfCall((connection) => {
      for (const fd of attachments) connection.peer.connection?.attachments?.send(fd);
      return this.tokenFor(connection);
    });
  }

  /** Whether it was given up because its server did not answer any more. */
  get abandoned(): boolean {
    return this.silent;
  }

  /** Whether there is a connection. */
  get connected(): boolean {
    return this.client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  began(call: Cancellable): void {
    this.calls.set(call, this.received);
    if (this.calls.size === 1) this.holdProcess();
  }

  /** @param late whether it ended because its time was over */
  ended(call: Cancellable, late: boolean): void {
    const unanswered = this.calls.get(call) === this.received;
    this.calls.delete(call);
    if (late && unanswered) this.checkServer();
    if (this.calls.size === 0) this.holdProcess();
    this.closeWhenDone();
    if (this.calls.size === 0) this.onIdle();
  }

  /** No new calls; closes when those under way have ended. */
  retire(): void {
    this.stale = true;
    this.closeWhenDone();
  }

  /** Cancels what is under way, and closes. */
  close(): void {
    this.stale = true;
    for (const call of [...this.calls.keys()]) call.cancel();
    this.shutDown();
  }

  /** A connection may be dead without a sign: then nothing on it is ever answered, however quick it is. */
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

  /** What is under way will get no answer, nor will a goodbye. */
  private abandon(): void {
    this.silent = true;
    this.close();
    for (const socket of this.sockets) socket.destroy();
  }

  /** How many bytes have come from the server. */
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
    // What is connected says goodbye; what is not yet would go on trying.
    if (!connected) for (const socket of this.sockets) socket.destroy();
  }

  private watch(socket: ChannelSocket): void {
    this.sockets.add(socket);
    const late = setTimeout(() => {
      if (!this.connected) socket.destroy(new Error("it took the connection but does not speak"));
    }, this.settings.handshakeTimeoutMs).unref();
    socket.once("close", () => {
      clearTimeout(late);
      this.sockets.delete(socket);
      this.receivedBefore += socket.bytesRead;
    });
    this.holdProcess();
  }

  /** A process lives on for calls, but not for connections: gRPC sees to that with the sockets of Node only. */
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
