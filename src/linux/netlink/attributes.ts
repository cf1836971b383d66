/**
 * A netlink attribute: type, length and value, padded to four bytes. Numbers are in host order (all supported
 * platforms are little-endian). nftables expects big-endian numbers: use the `be` functions there.
 */
export type Attribute = Buffer;

/** Marks an attribute whose value is a list of attributes. */
const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** Creates an attribute of raw bytes. */
export function bytes(type: number, value: Uint8Array): Attribute {
  const end = 4 + value.length;
  const attribute = Buffer.allocUnsafe(align4(end)).fill(0, end); // from Node's pool: rules are made of hundreds
  attribute.writeUInt16LE(end, 0);
  attribute.writeUInt16LE(type, 2);
  attribute.set(value, 4);
  return attribute;
}

export const flag = (type: number): Attribute => bytes(type, Buffer.alloc(0));
export const u8 = (type: number, value: number): Attribute => bytes(type, Buffer.of(value));
export const u16 = (type: number, value: number): Attribute =>
  bytes(type, Buffer.of(value & 255, value >>> 8));

export function u32(type: number, value: number): Attribute {
  const data = Buffer.allocUnsafe(4);
  data.writeUInt32LE(value >>> 0);
  return bytes(type, data);
}

export function be16(type: number, value: number): Attribute {
  return bytes(type, Buffer.of(value >>> 8, value & 255));
}

export function be32(type: number, value: number): Attribute {
  const data = Buffer.allocUnsafe(4);
  data.writeUInt32BE(value >>> 0);
  return bytes(type, data);
}

export function be64(type: number, value: bigint | number): Attribute {
  const data = Buffer.allocUnsafe(8);
  data.writeBigUInt64BE(BigInt(value));
  return bytes(type, data);
}

/** Creates an attribute of a string with a terminating NUL. */
export const text = (type: number, value: string): Attribute => bytes(type, Buffer.from(`${value}\0`));

export function nested(type: number, ...attributes: readonly Attribute[]): Attribute {
  return bytes(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/**
 * Decodes the attributes in `data`, in order. A type can occur more than once. Stops at the first malformed
 * one.
 */
export function attributeList(data: Buffer): { type: number; value: Buffer }[] {
  const list: { type: number; value: Buffer }[] = [];
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) break;
    list.push({ type: data.readUInt16LE(at + 2) & TYPE_MASK, value: data.subarray(at + 4, at + length) });
    at += align4(length);
  }
  return list;
}

/** Decodes the attributes in `data`, by type. If a type occurs more than once, the last one wins. */
export function attributes(data: Buffer): ReadonlyMap<number, Buffer> {
  return new Map(attributeList(data).map(({ type, value }) => [type, value]));
}

/** The string in an attribute, without its terminating NUL. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}
