import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  attributeList,
  attributes,
  be32,
  bytes,
  nested,
  text,
  textOf,
  u16,
  u32,
} from "../../src/linux/netlink/attributes.js";
import { acknowledgement, decodeMessages, encodeMessage } from "../../src/linux/netlink/message.js";

test("attributes are padded to four bytes and read back in order", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 1000 }), fc.uint8Array())), (list) => {
      const encoded = Buffer.concat(list.map(([type, value]) => bytes(type, value)));
      expect(encoded.length % 4).toBe(0);
      expect(attributeList(encoded).map(({ type, value }) => [type, [...value]])).toEqual(
        list.map(([type, value]) => [type, [...value]]),
      );
    }),
  );
});

test("numbers are little-endian for routes and big-endian for nftables", () => {
  expect(u16(1, 0x0102).subarray(4, 6)).toEqual(Buffer.of(2, 1));
  expect(u32(1, 0xfffffffe).readUInt32LE(4)).toBe(0xfffffffe);
  expect(be32(1, 0x01020304).subarray(4)).toEqual(Buffer.of(1, 2, 3, 4));
});

test("a string ends with NUL on the way in and without on the way out", () => {
  const encoded = text(3, "nsm-1");
  expect(encoded.readUInt16LE(0)).toBe(4 + 6);
  expect(textOf(attributes(encoded).get(3)!)).toBe("nsm-1");
});

test("a nested list is marked, and found under its plain type", () => {
  const encoded = nested(18, text(1, "veth"));
  expect(encoded.readUInt16LE(2)).toBe(18 | 0x8000);
  expect(textOf(attributes(attributes(encoded).get(18)!).get(1)!)).toBe("veth");
});

test("reading ends at an attribute that claims more than there is", () => {
  const torn = Buffer.concat([u32(1, 7), u32(2, 8).subarray(0, 6)]);
  expect(attributeList(torn).map(({ type }) => type)).toEqual([1]);
  expect(attributeList(Buffer.of(0, 0, 1, 0))).toEqual([]);
});

test("a message carries its length, type, flags and sequence number", () => {
  const encoded = encodeMessage(
    { type: 16, flags: 0x400, header: Buffer.of(1, 2, 3), attributes: [u32(4, 1500)] },
    99,
  );
  const [message, ...others] = decodeMessages(Buffer.concat([encoded, encoded]));
  expect(others).toHaveLength(1);
  expect(message).toMatchObject({ type: 16, flags: 0x401, sequence: 99 });
  expect(message!.data.subarray(0, 4)).toEqual(Buffer.of(1, 2, 3, 0));
  expect(attributes(message!.data.subarray(4)).get(4)?.readUInt32LE()).toBe(1500);
});

describe("an acknowledgement", () => {
  const errno = Buffer.alloc(4);
  errno.writeInt32LE(-17);
  const sent = encodeMessage(
    { type: 16, flags: 0, header: Buffer.alloc(16), attributes: [u32(4, 1500), nested(18, text(1, "veth"))] },
    1,
  );
  const end = (flags: number, ...data: Buffer[]) =>
    acknowledgement({ type: 2, flags, sequence: 1, data: Buffer.concat(data) }, sent);

  test("gives the errno, and the kernel's words whether or not it repeats the request", () => {
    const words = text(1, "File exists");
    const parsed = { errno: 17, text: "File exists", near: undefined };
    expect(end(0x300, errno, sent.subarray(0, 16), words)).toEqual(parsed);
    expect(end(0x200, errno, sent, words)).toEqual(parsed);
    expect(end(0x100, errno, sent.subarray(0, 16))).toEqual({ ...parsed, text: undefined });
  });

  test("names what the kernel stumbled over, also inside a list, but not a number", () => {
    const at = (offset: number) => end(0x300, errno, sent.subarray(0, 16), u32(2, offset))?.near;
    expect([at(32), at(40), at(44), at(9999)]).toEqual([undefined, "veth", "veth", undefined]);
  });

  test("ends a dump too; other messages end nothing", () => {
    const message = (type: number, data: Buffer) => ({ type, flags: 2, sequence: 1, data });
    expect(acknowledgement(message(3, Buffer.alloc(4)), sent)?.errno).toBe(0);
    expect(acknowledgement(message(16, Buffer.alloc(16)), sent)).toBeUndefined();
  });
});
