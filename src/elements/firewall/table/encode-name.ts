import { createHash } from "node:crypto";

/** Names have at most 255 bytes in the kernel. This limit leaves space for a prefix and a suffix. */
const LONGEST = 200;

/**
 * Encodes a text as part of an nftables name. Letters, digits, `_` and `-` stay; other bytes become `/` and two
 * hex digits.
 */
export function encodeName(text: string): string {
  const encoded = Buffer.from(text)
    .toString("latin1")
    .replace(/[^\w-]/g, (char) => `/${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
  if (encoded.length <= LONGEST) return encoded;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 16);
  return `${encoded.slice(0, LONGEST - digest.length - 1)}.${digest}`;
}

/** Decodes an encoded text. Returns only the beginning of a long text. */
export function decodeName(name: string): string {
  const bytes = name.replace(/\/([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString();
}
