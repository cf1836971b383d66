import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CallCredentials, ChannelCredentials, type Metadata } from "@grpc/grpc-js";
import { transportConnection, type Peer, type TransportConnection } from "../core/index.js";
import type { OnPeer } from "../identity/index.js";
import { attachable, type AttachableSocket } from "../linux/index.js";
import { isLocalHost } from "../wire/index.js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;
type ConnectorArguments = Parameters<ChannelCredentials["_createSecureConnector"]>;

/** After how long without traffic the kernel asks whether the peer is still there. */
const TCP_KEEPALIVE_MS = 15_000;

/** One connection of a channel: who is at its other end. */
export interface ChannelConnection {
  readonly peer: Peer;
}

/** What a connection is made of before TLS. */
export type ChannelSocket = Socket | AttachableSocket;

/** What a channel has its connections made with. */
export interface ConnectionsOptions {
  /** Unix sockets pass descriptors, as far as that is possible here. */
  readonly attachable: boolean;
  /** They do not keep the process alive, whatever calls are under way. */
  readonly background: boolean;
  /** The address, for people. */
  readonly url: string;
  /** Credentials for one connection. */
  readonly credentials: (onPeer: OnPeer) => ChannelCredentials;
  /** Called before TLS and HTTP/2 begin on a socket. grpc-js neither bounds nor ends these two. */
  readonly onSocket: (socket: ChannelSocket) => void;
  /** Called when TLS has verified the server of a connection. */
  readonly onPeer: OnPeer;
}

/**
 * Credentials that know each connection of a channel: its socket before TLS and HTTP/2 begin on it, and its server's
 * identity. Calls learn theirs by {@link CredentialsOfCall}.
 *
 * This is the way grpc-js's own credentials are made, but underscored: the version of grpc-js is pinned.
 */
export class ChannelConnections extends ChannelCredentials {
  private readonly secure: boolean;

  constructor(private readonly options: ConnectionsOptions) {
    super();
    this.secure = options.credentials(() => {})._isSecure();
  }

  override _isSecure(): boolean {
    return this.secure;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  /** For one address of the channel's target; grpc-js keeps one connection to it, and makes a new one when it broke. */
  override _createSecureConnector(...args: ConnectorArguments): SecureConnector {
    const { url, attachable, background, credentials, onSocket, onPeer } = this.options;
    const newest = new NewestConnection();
    return {
      connect: async (socket) => {
        const [stream, connection] = transportOf(socket, attachable);
        onSocket(stream);
        let peer: Peer = { address: url, local: connection.local, connection };
        const own = credentials((certificate, id) => {
          peer = { ...peer, certificate, spiffeId: id.toString() };
          onPeer(certificate, id);
        });
        const connected = await own._createSecureConnector(...args).connect(stream as Socket);
        newest.connection = { peer };
        if (background) neverHoldProcess(stream, connected.socket);
        return connected;
      },
      waitForReady: async () => {},
      getCallCredentials: () => newest,
      destroy: () => {},
    };
  }
}

/** Tells calls which connection they are put on: grpc-js composes their credentials with these when it picks one. */
class NewestConnection extends CallCredentials {
  connection: ChannelConnection | undefined;

  override compose(other: CallCredentials): CallCredentials {
    return other;
  }

  override async generateMetadata(): Promise<Metadata> {
    throw new Error("a call without credentials of its own");
  }

  override _equals(other: CallCredentials): boolean {
    return this === other;
  }
}

/** The credentials of one call: they know the connection it goes over, once it does, and add its headers. */
export class CredentialsOfCall extends CallCredentials {
  private picked: ChannelConnection | undefined;

  constructor(private readonly headersFor: (connection: ChannelConnection) => Metadata) {
    super();
  }

  /** The connection of the call; undefined when there was none (yet). */
  get connection(): ChannelConnection | undefined {
    return this.picked;
  }

  override compose(other: CallCredentials): CallCredentials {
    if (other instanceof NewestConnection) this.picked = other.connection;
    return this;
  }

  override async generateMetadata(): Promise<Metadata> {
    return this.headersFor(this.picked!);
  }

  override _equals(other: CallCredentials): boolean {
    return this === other;
  }
}

/** In the turn the socket is connected: nothing was read from it yet. */
function transportOf(socket: Socket, passesDescriptors: boolean): [ChannelSocket, TransportConnection] {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) {
    const { stream, attachments } = (passesDescriptors && attachable(socket)) || {
      stream: socket,
      attachments: undefined,
    };
    return [stream, transportConnection({ kind: "unix", address: "unix", local: true, attachments })];
  }
  socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
  const address = `${remoteAddress}:${remotePort}`;
  return [socket, transportConnection({ kind: "tcp", address, local: isLocalHost(remoteAddress) })];
}

/** HTTP/2 calls ref() on the socket of a session when a call begins on it. */
function neverHoldProcess(...sockets: readonly (ChannelSocket | Duplex)[]): void {
  for (const socket of sockets) {
    if (!("unref" in socket)) continue;
    socket.unref();
    socket.ref = () => socket;
  }
}
