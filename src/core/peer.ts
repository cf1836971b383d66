import type { X509Certificate } from "node:crypto";
import type { Timestamp } from "../api/index.js";
import { ContextKey } from "./context.js";
import type { TransportConnection } from "./transport-connection.js";

/** A signed word of one process to the next about who it is, and until when that holds. */
export interface Token {
  readonly token: string;
  readonly expires: Timestamp;
}

/** The other end of the connection a call came in on. */
export interface Peer {
  /** For people: `127.0.0.1:40312`, or `unix`. */
  readonly address: string;
  /** Whether it sits on this machine: a unix socket or the loopback network. False if unknown. */
  readonly local: boolean;
  /** The connection of the call. None if it had ended before the call began. */
  readonly connection?: TransportConnection | undefined;
  /** Its verified certificate; none without TLS. */
  readonly certificate?: X509Certificate | undefined;
  readonly spiffeId?: string | undefined;
  /** The token it sent with the call; none when the headers were missing or malformed. */
  readonly token?: Token | undefined;
}

/** Who calls. Set by inbound; absent in calls that begin in this process. */
export const peer = new ContextKey<Peer>("peer");
