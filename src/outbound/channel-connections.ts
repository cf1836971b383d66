import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CallCredentials, ChannelCredentials, type Metadata } from "@grpc/grpc-js";
import { type Peer, type TransportConnection } from "../core/index.js";
import { transportConnection } from "../core/transport-connection.js";
import type { OnPeer } from "../identity/index.js";
import { attachable } from "../linux/sockets/attachments.js";
import { type AttachableSocket } from "../linux/sockets/attachable-socket.js";
import { isLocalHost } from "../wire/index.js";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;
type ConnectorArguments = Parameters<ChannelCredentials["_createSecureConnector"]>;

/** Idle time after which the kernel probes whether the peer is still there. */
const TCP_KEEPALIVE_MS = 15_000;

/** One connection of a channel, and the peer at its other end. */
export interface ChannelConnection {
  readonly peer: Peer;
}

/** The transport of a connection, below TLS. */
export type ChannelSocket = Socket | AttachableSocket;

/** How a channel makes its connections. */
export interface ConnectionsOptions {
  /** Whether unix sockets pass descriptors, where the platform can. */
  readonly attachable: boolean;
  /** Whether connections let the process exit while calls are in progress. */
  readonly background: boolean;
  /** The address, for messages. */
  readonly url: string;
  /** Creates the credentials of one connection. */
  readonly credentials: (onPeer: OnPeer) => ChannelCredentials;
  /** Called before TLS and HTTP/2 start on a socket. grpc-js neither limits nor ends these handshakes. */
  readonly onSocket: (socket: ChannelSocket) => void;
  /** Called when TLS has verified the server of a connection. */
  readonly onPeer: OnPeer;
}

/**
 * Credentials that observe each connection of a channel: its socket before TLS and HTTP/2 start, and the
 * identity of its server. A call learns its connection from {@link CredentialsOfCall}.
 *
 * grpc-js implements its own credentials with the same underscored methods. They are not public, so the
 * version of grpc-js is pinned.
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

  /**
   * Creates the connector for one address of the target. grpc-js keeps one connection to it and replaces a
   * broken one.
   */
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

/**
 * Passes the connection to its calls: grpc-js composes a call's credentials with these when it picks a
 * connection.
 */
class NewestConnection extends CallCredentials {
  connection: ChannelConnection | undefined;

  override compose(other: CallCredentials): CallCredentials {
    return other;
  }

  override async generateMetadata(): Promise<Metadata> {
    throw new Error("the call has no credentials of its own");
  }

  override _equals(other: CallCredentials): boolean {
    return this === other;
  }
}

/** The credentials of one call. They learn the call's connection when it is picked, and add its headers. */
export class CredentialsOfCall extends CallCredentials {
  private picked: ChannelConnection | undefined;

  constructor(private readonly headersFor: (connection: ChannelConnection) => Metadata) {
    super();
  }

  /** The connection of the call. Undefined until grpc-js has picked one. */
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

/** Must run in the same turn as the socket's connect event, before anything reads from the socket. */
function transportOf(socket: Socket, passesDescriptors: boolean): [ChannelSocket, TransportConnection] {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) {
    const { stream, ...channel } = (passesDescriptors && attachable(socket)) || { stream: socket };
    return [stream, transportConnection({ kind: "unix", address: "unix", local: true, ...channel })];
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
