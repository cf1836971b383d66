/** The transport between two processes. */
export type TransportKind = "tcp" | "unix" | "memory";

/** File descriptors sent on the same connection as calls. Supported on unix sockets and in memory. */
export interface Attachments {
  /**
   * Sends a descriptor with the next data written on the connection. The caller may close the descriptor at
   * once. The message that accompanies it refers to it as `inode://<device>/<inode>`.
   */
  send(fd: number): void;
  /**
   * Returns the descriptor of that file that the other end has sent or will send. Each call returns a new
   * descriptor, which the caller must close. The descriptor may be opened with O_PATH: open `/proc/self/fd/<n>`
   * to use it.
   *
   * @throws NsmError INVALID_ARGUMENT if the value is not an inode URL, UNAVAILABLE if the connection ends
   * first; the signal's reason if the signal aborts
   */
  receive(inodeUrl: string, signal: AbortSignal): Promise<number>;
}

/**
 * The process that connected a unix socket, or that listens on it, as the kernel recorded it. It may have passed
 * the socket on to another process since.
 */
export interface PeerProcess {
  /** Its pid, as this process sees it. 0 if its PID namespace is not visible from here. */
  readonly pid: number;
  /**
   * Opens the network namespace of the process, and returns a descriptor that the caller closes.
   *
   * @throws NsmError NOT_FOUND if the process has ended, PERMISSION_DENIED without the privilege to inspect it
   * (ptrace(2)), UNIMPLEMENTED on a kernel before Linux 6.5, UNAVAILABLE if the connection has ended
   */
  openNetworkNamespace(): number;
}

/** The transport connection that carries a call, as seen by the end that accepted or opened it. */
export interface TransportConnection {
  /** Unique among the connections of this process. */
  readonly id: number;
  readonly kind: TransportKind;
  /** The address of the other end, for logs: `127.0.0.1:40312` or `unix`. */
  readonly address: string;
  /** Whether the other end is on this machine: a unix socket or the loopback network. */
  readonly local: boolean;
  /** Absent if the transport cannot carry descriptors. */
  readonly attachments?: Attachments | undefined;
  /** Absent unless the connection is a unix socket that carries descriptors. */
  readonly process?: PeerProcess | undefined;
}

let lastId = 0;

/** Creates a connection with a new id. */
export function transportConnection(known: Omit<TransportConnection, "id">): TransportConnection {
  return { id: ++lastId, ...known };
}
