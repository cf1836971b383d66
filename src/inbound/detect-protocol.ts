import type { Duplex } from "node:stream";

/** The protocol that the first bytes of a connection indicate. */
export type FirstProtocol = "tls" | "http2" | "unknown";

const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const TLS_HANDSHAKE = 0x16;

/**
 * Calls `onDetected` once, when the first bytes of a connection identify its protocol. The bytes stay in the
 * stream: the callback must attach their reader before it returns. Does not call it if the connection ends
 * earlier.
 */
export function detectProtocol(socket: Duplex, onDetected: (protocol: FirstProtocol) => void): void {
  let received: Buffer | undefined;
  const read = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    received = received ? Buffer.concat([received, chunk]) : chunk;
    const protocol = protocolOf(received);
    if (protocol === undefined) return;
    socket.removeListener("readable", read);
    socket.unshift(received);
    onDetected(protocol);
  };
  socket.on("readable", read);
}

/** Returns undefined while there are too few bytes to decide. */
function protocolOf(bytes: Buffer): FirstProtocol | undefined {
  if (bytes[0] === TLS_HANDSHAKE) return "tls";
  const length = Math.min(bytes.length, HTTP2_PREFACE.length);
  if (!bytes.subarray(0, length).equals(HTTP2_PREFACE.subarray(0, length))) return "unknown";
  return length === HTTP2_PREFACE.length ? "http2" : undefined;
}
