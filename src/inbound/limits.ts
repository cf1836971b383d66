import { Code, NsmError } from "../core/index.js";

/**
 * How much of a server its clients may occupy. The defaults leave room for 10,000 connections of a manager over one
 * channel, and for peers that open a channel per connection, as Go NSM does.
 */
export interface InboundLimits {
  /**
   * Connections open at once from one peer: an IPv4 address, an IPv6 network of 64 bits, or all that come to one unix
   * socket. Default: 8,192.
   */
  readonly connectionsPerPeer?: number | undefined;
  /** Calls and streams open at once on one connection; further ones wait at the client. Default: 16,384. */
  readonly streamsPerConnection?: number | undefined;
  /** Size of a request message, in bytes. Default: 4,194,304, as in gRPC. */
  readonly messageBytes?: number | undefined;
  /**
   * Memory for request messages that have not arrived completely, of all connections of one peer, in bytes.
   * Default: 33,554,432.
   */
  readonly unfinishedBytesPerPeer?: number | undefined;
  /**
   * Memory for all calls of one peer until it has read their answers: headers, requests, and answers of one message, in
   * bytes. Default: 268,435,456.
   */
  readonly callBytesPerPeer?: number | undefined;
  /** How long a new connection may take until it speaks HTTP/2, TLS included, in milliseconds. Default: 10,000. */
  readonly handshakeMs?: number | undefined;
  /** After how long without a call a connection is closed, in milliseconds. Default: 900,000. */
  readonly idleMs?: number | undefined;
}

const DEFAULTS = {
  connectionsPerPeer: 8_192,
  streamsPerConnection: 16_384,
  messageBytes: 4_194_304,
  unfinishedBytesPerPeer: 33_554_432,
  callBytesPerPeer: 268_435_456,
  handshakeMs: 10_000,
  idleMs: 900_000,
};

/**
 * The limits with defaults for what is left out.
 *
 * @throws NsmError INVALID_ARGUMENT for a limit that is not a whole number above 0
 */
export function completeLimits(given: InboundLimits = {}): typeof DEFAULTS {
  const limits = { ...DEFAULTS };
  for (const [name, value] of Object.entries(given) as [keyof typeof DEFAULTS, number | undefined][]) {
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      throw new NsmError(
        Code.InvalidArgument,
        `the limit ${name} was ${value}: allowed is a whole number from 1 to 2147483647`,
      );
    }
    limits[name] = value;
  }
  return limits;
}
