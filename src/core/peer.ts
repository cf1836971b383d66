import type { X509Certificate } from "node:crypto";
import type { Timestamp } from "../api/index.js";
import { ContextKey } from "./context.js";
import type { TransportConnection } from "./transport-connection.js";

/** A signed token that states the identity of a process to the next hop, and its expiry. */
export interface Token {
  readonly token: string;
  readonly expires: Timestamp;
}

/** The remote end of the connection that a call arrived on. */
export interface Peer {
  /** For logs: `127.0.0.1:40312` or `unix`. */
  readonly address: string;
  /**
   * Whether the peer is on this machine: it connected over a unix socket or the loopback network. False if
   * unknown.
   */
  readonly local: boolean;
  /** The connection of the call. Absent if the connection ended before the call began. */
  readonly connection?: TransportConnection | undefined;
  /** The verified certificate of the peer. Absent without TLS. */
  readonly certificate?: X509Certificate | undefined;
  readonly spiffeId?: string | undefined;
  /** The token sent with the call. Absent if the headers are missing or malformed. */
  readonly token?: Token | undefined;
}

/** The caller. Set by inbound. Absent in calls that start in this process. */
export const peer = new ContextKey<Peer>("peer");
