import type { Duplex } from "node:stream";

/** What a connection begins with. */
export type Opening = "tls" | "http2" | "unknown";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const TLS_HANDSHAKE = 0x16;

/**
 * Calls `heard` once, when the first bytes of a connection show what it speaks. The bytes stay in the stream for
 * whoever reads it next, which must begin in that call. A connection that ends before is never heard.
 */
export function opening(socket: Duplex, heard: (kind: Opening) => void): void {
  let have = Buffer.alloc(0);
  const read = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    have = Buffer.concat([have, chunk]);
    const kind = kindOf(have);
    if (kind === undefined) return;
    socket.removeListener("readable", read);
    socket.unshift(have);
    heard(kind);
  };
  socket.on("readable", read);
}

function kindOf(bytes: Buffer): Opening | undefined {
  if (bytes[0] === TLS_HANDSHAKE) return "tls";
  const length = Math.min(bytes.length, PREFACE.length);
  if (!bytes.subarray(0, length).equals(PREFACE.subarray(0, length))) return "unknown";
  return length === PREFACE.length ? "http2" : undefined;
}
