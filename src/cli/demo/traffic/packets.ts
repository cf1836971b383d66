import { once } from "node:events";
import type { Socket } from "node:net";
import { Code, NsmError } from "../../../core/index.js";
import {
  connectIn,
  ping,
  tcpConnect,
  type NetworkNamespace,
  type PingResult,
  type TcpOutcome,
} from "../../../linux/index.js";

/** Time limit for traffic that should pass, in milliseconds. Normally it takes less than one. */
const PATIENCE_MS = 5_000;
/** Time without any answer after which traffic counts as dropped, in milliseconds. */
const SILENCE_MS = 500;
const ECHOES = 4;

/** Source and destination of packets. */
export interface Route {
  readonly namespace: NetworkNamespace;
  readonly from: string;
  readonly to: string;
}

/**
 * Sends ICMP echo requests.
 *
 * @throws NsmError UNAVAILABLE if any of them stays without a reply
 */
export async function pings({ namespace, from, to }: Route): Promise<PingResult> {
  const result = await ping({ namespace, from, to, count: ECHOES, timeoutMs: PATIENCE_MS });
  if (result.received === result.sent) return result;
  const why = result.unreachable === undefined ? "" : ` (${result.unreachable})`;
  throw new NsmError(
    Code.Unavailable,
    `${result.received} of ${result.sent} echoes came back from ${to}${why}`,
  );
}

/** Opens a TCP connection through the firewall. The caller destroys it. */
export async function connection({ namespace, from, to }: Route, port: number): Promise<Socket> {
  const socket = await connectIn({ namespace, from, host: to, port, timeoutMs: PATIENCE_MS });
  socket.setNoDelay(true);
  return socket;
}

/**
 * Sends a message over an open connection and waits for its echo.
 *
 * @throws NsmError DEADLINE_EXCEEDED without an echo, UNAVAILABLE if the connection ends
 */
export async function echo(socket: Socket, message: string): Promise<void> {
  let received = "";
  socket.write(message);
  while (received.length < message.length) {
    const [data] = (await next(socket)) as [Buffer];
    received += data.toString();
  }
  if (received !== message) throw new NsmError(Code.DataLoss, `"${message}" came back as "${received}"`);
}

async function next(socket: Socket): Promise<unknown[]> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), PATIENCE_MS);
  try {
    const { signal } = over;
    const closed = once(socket, "close", { signal }).then(() => {
      throw new NsmError(Code.Unavailable, "the TCP connection ended");
    });
    return await Promise.race([once(socket, "data", { signal }), closed]);
  } catch (cause) {
    if (!over.signal.aborted) throw cause;
    throw new NsmError(Code.DeadlineExceeded, `nothing came back within ${PATIENCE_MS} ms`, { cause });
  } finally {
    clearTimeout(timer);
    over.abort(); // gives the other one's listeners back
  }
}

/** Connects to a port once and disconnects. */
export function tryPort(
  { namespace, from, to }: Route,
  port: number,
  timeoutMs = SILENCE_MS,
): Promise<TcpOutcome> {
  return tcpConnect({ namespace, from, host: to, port, timeoutMs });
}
