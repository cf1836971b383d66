import { Client, credentials, Metadata, type CallCredentials, type ChannelOptions } from "@grpc/grpc-js";
import type { Clock, Peer, Token } from "../core/index.js";
import { tokenHeaders, validUntil, type Identity } from "../identity/index.js";
import { isAddressTarget, isLocalTarget } from "./target.js";

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default keeps a channel failing for a second after its peer is back.
  "grpc.initial_reconnect_backoff_ms": 20,
  "grpc.min_reconnect_backoff_ms": 20,
  "grpc.max_reconnect_backoff_ms": 200,
  // A Go peer sends all connections of a monitor in one message.
  "grpc.max_receive_message_length": -1,
  // Finds a peer that vanished without a word. Go servers refuse pings more often than every five minutes.
  "grpc.keepalive_time_ms": 310_000,
  // A connection belongs to one channel, so that closing the channel closes it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
  // Nobody publishes service configurations; asking DNS for them delays the first call.
  "grpc.service_config_disable_resolution": 1,
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
};

/** Anything under way on a channel. */
export interface Cancellable {
  cancel(): void;
}

/** One gRPC channel to one target, showing one certificate for as long as it lives. */
export class PooledChannel {
  readonly client: Client;
  /** The credentials for calls; none without TLS, where `metadata` carries the token. */
  readonly callCredentials: CallCredentials | undefined;
  private readonly calls = new Set<Cancellable>();
  private readonly local: boolean;
  private server: Peer;
  private stale = false;
  private freshUntil = Infinity;
  private shown: { readonly token: Token; readonly metadata: Metadata } | undefined;

  constructor(
    url: string,
    target: string,
    private readonly identity: Identity,
    private readonly clock: Clock,
  ) {
    this.local = isLocalTarget(target);
    this.server = { address: url, local: this.local };
    const channelCredentials = identity.channelCredentials((certificate, id) => {
      this.server = { address: url, local: this.local, certificate, spiffeId: id.toString() };
      const now = clock.now();
      // What the peer signs later, it may sign with a newer key than the one this connection knows.
      this.freshUntil = now + (validUntil(certificate) - now) / 2;
    });
    this.client = new Client(target, channelCredentials, {
      ...CHANNEL_OPTIONS,
      // TLS may not name an address as the server wanted, and nobody looks at this name.
      ...(isAddressTarget(target) && { "grpc.ssl_target_name_override": "localhost" }),
    });
    // The generator runs when a connection is there, so the server is known by then.
    this.callCredentials =
      identity.id &&
      credentials.createFromMetadataGenerator((_options, callback) => {
        try {
          callback(null, this.tokenMetadata());
        } catch (error) {
          callback(error as Error);
        }
      });
  }

  /** The server as its newest handshake showed it. */
  get peer(): Peer {
    return this.server;
  }

  /** Whether new calls may begin on it. */
  get fresh(): boolean {
    return !this.stale && this.clock.now() < this.freshUntil;
  }

  /** Whether it is closed. */
  get done(): boolean {
    return this.stale && this.calls.size === 0;
  }

  get callCount(): number {
    return this.calls.size;
  }

  /** The headers of a call to begin with. */
  metadata(): Metadata {
    return this.callCredentials ? new Metadata() : this.tokenMetadata().clone();
  }

  began(call: Cancellable): void {
    this.calls.add(call);
  }

  ended(call: Cancellable): void {
    this.calls.delete(call);
    this.closeWhenDone();
  }

  /** No new calls; closes when those under way have ended. */
  retire(): void {
    this.stale = true;
    this.closeWhenDone();
  }

  /** Cancels what is under way, and closes. */
  close(): void {
    this.stale = true;
    for (const call of [...this.calls]) call.cancel();
    this.client.close();
  }

  private closeWhenDone(): void {
    if (this.done) this.client.close();
  }

  private tokenMetadata(): Metadata {
    const token = this.identity.tokens(this.server);
    if (this.shown?.token !== token) {
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(tokenHeaders(token))) metadata.set(name, value);
      this.shown = { token, metadata };
    }
    return this.shown!.metadata;
  }
}
