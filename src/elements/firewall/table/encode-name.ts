import { createHash } from "node:crypto";

/** Names have at most 255 bytes in the kernel; this leaves room for a prefix and a suffix. */
const LONGEST = 200;

/** A text as part of an nftables name. Keeps letters, digits, `_` and `-`; other bytes become `/` and two hex digits. */
export function encodeName(text: string): string {
  const encoded = Buffer.from(text)
    .toString("latin1")
    .replace(/[^\w-]/g, (char) => `/${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  if (encoded.length <= LONGEST) return encoded;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return `${encoded.slice(0, LONGEST - digest.length - 1)}.${digest}`;
}

/** The text that was encoded; of a long one only its beginning. */
export function decodeName(name: string): string {
  const bytes = name.replace(/\/([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString();
}
