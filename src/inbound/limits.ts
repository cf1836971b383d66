import { Code, NsmError } from "../core/index.js";

/**
 * Limits on what clients may occupy of a server. The defaults leave room for 10,000 connections of a manager
 * over one channel, and for peers that open a channel per connection, as Go NSM does.
 */
export interface InboundLimits {
  /**
   * Open connections per peer. A peer is an IPv4 address, a /64 network of IPv6, or all clients of one unix
   * socket. Default: 8,192.
   */
  readonly connectionsPerPeer?: number | undefined;
  /** Open calls and streams per connection. The client queues further ones. Default: 16,384. */
  readonly streamsPerConnection?: number | undefined;
  /** Maximum size of a request message, in bytes. Default: 4,194,304, as in gRPC. */
  readonly messageBytes?: number | undefined;
  /**
   * Memory per peer for request messages that have not arrived completely, in bytes. Default: 33,554,432.
   */
  readonly unfinishedBytesPerPeer?: number | undefined;
  /**
   * Memory per peer for all calls until it has read their answers, in bytes. Counts headers, requests and
   * unary answers. Default: 268,435,456.
   */
  readonly callBytesPerPeer?: number | undefined;
  /** Time for a new connection to start HTTP/2, TLS included, in milliseconds. Default: 10,000. */
  readonly handshakeMs?: number | undefined;
  /** Time without a call after which a connection is closed, in milliseconds. Default: 900,000. */
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
 * Adds the defaults to the given limits.
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
