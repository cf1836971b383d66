/** What carries calls from one process to another, and back. */
export type TransportKind = "tcp" | "unix" | "memory";

/** The transport connection that a call travels on, as the end that accepted or opened it knows it. */
export interface TransportConnection {
  /** No other connection of this process has it. */
  readonly id: number;
  readonly kind: TransportKind;
  /** The other end, for people: `127.0.0.1:40312`, or `unix`. */
  readonly address: string;
  /** Whether the other end sits on this machine: a unix socket or the loopback network. */
  readonly local: boolean;
}

let lastId = 0;

/** A connection with an id of its own. */
export function transportConnection(known: Omit<TransportConnection, "id">): TransportConnection {
  return { id: ++lastId, ...known };
}
