/** What carries calls from one process to another, and back. */
export type TransportKind = "tcp" | "unix" | "memory";

/** Descriptors of open files that travel on the same connection as calls: on unix sockets, and in memory. */
export interface Attachments {
  /**
   * Sends a descriptor with what is written next on the connection; it may be closed at once. The message that goes
   * with it names it as `inode://<device>/<inode>`.
   */
  send(fd: number): void;
  /**
   * The descriptor that the other end sent of that file, or will send: a new one each time, the caller's to close. May
   * be a mere name of the file (O_PATH): open `/proc/self/fd/<n>` to use it.
   *
   * @throws NsmError INVALID_ARGUMENT for what is no inode URL, UNAVAILABLE when the connection ends first; an abort
   * throws the signal's reason
   */
  receive(inodeUrl: string, signal: AbortSignal): Promise<number>;
}

/** The transport connection that a call travels on, as the end that accepted or opened it knows it. */
export interface TransportConnection {
  /** No other connection of this process has it. */
  readonly id: number;
  readonly kind: TransportKind;
  /** The other end, for people: `127.0.0.1:40312`, or `unix`. */
  readonly address: string;
  /** Whether the other end sits on this machine: a unix socket or the loopback network. */
  readonly local: boolean;
  /** Absent where descriptors cannot travel. */
  readonly attachments?: Attachments | undefined;
}

let lastId = 0;

/** A connection with an id of its own. */
export function transportConnection(known: Omit<TransportConnection, "id">): TransportConnection {
  return { id: ++lastId, ...known };
}
