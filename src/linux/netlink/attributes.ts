/**
 * Netlink attributes: a type, a length and a value, padded to four bytes.
 * Numbers are in host order here (every platform this runs on is little-endian);
 * nftables wants its numbers big-endian: use the `be` forms there.
 */
export type Attribute = Buffer;

/** Marks an attribute whose value is itself a list of attributes. */
const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** An attribute of raw bytes. */
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

/** A string with the NUL at its end that the kernel expects. */
export const text = (type: number, value: string): Attribute => bytes(type, Buffer.from(`${value}\0`));

export function nested(type: number, ...attributes: readonly Attribute[]): Attribute {
  return bytes(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** The attributes in `data`, in order; a list may hold the same type many times. Ends at the first malformed one. */
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

/** The attributes in `data` by type; of a type that comes twice, the last. */
export function attributes(data: Buffer): ReadonlyMap<number, Buffer> {
  return new Map(attributeList(data).map(({ type, value }) => [type, value]));
}

/** The string in an attribute, without its NUL. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}
