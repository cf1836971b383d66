import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Code, NsmError } from "../../src/core/index.js";
import {
  addressFromBytes,
  addressToBytes,
  boundsOf,
  formatAddress,
  formatPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
  parsePrefixOrAddress,
  prefixHas,
  sameAddress,
} from "../../src/net/index.js";

function refusal(work: () => unknown): NsmError {
  try {
    work();
  } catch (error) {
    if (error instanceof NsmError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("addresses", () => {
  test("reads and writes both families in their usual text", () => {
    expect(parseAddress("172.16.1.100")).toEqual({ family: 4, value: 0xac100164n });
    expect(formatAddress({ family: 4, value: 0xac100165n })).toBe("172.16.1.101");
    expect(formatAddress(parseAddress("FD00:0:0:0:0:0:0:1"))).toBe("fd00::1");
    expect(formatAddress(parseAddress("fe80:0:1:0:1:1:1:1"))).toBe("fe80:0:1:0:1:1:1:1");
  });

  test("parses an IPv4 address in IPv6 notation as IPv4", () => {
    expect(formatAddress(parseAddress("::ffff:10.0.0.1"))).toBe("10.0.0.1");
    expect(formatPrefix(parsePrefix("::ffff:10.0.0.1/120"))).toBe("10.0.0.1/24");
  });

  test.each([
    "1.2.3",
    "1.2.3.4.5",
    "010.0.0.1",
    "256.0.0.1",
    "0x7f.1",
    "",
    " 10.0.0.1",
    "fe80::1%eth0",
    "1::2::3",
    "::g",
  ])('refuses "%s" by name', (text) => {
    const error = refusal(() => parseAddress(text));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.message).toContain(`"${text}"`);
  });

  test("bytes and text are equivalent for every address", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, (raw) => {
        const address = addressFromBytes(raw);
        expect([...addressToBytes(address)]).toEqual([...raw]);
        const mapped = address.family === 6 && address.value >> 32n === 0xffffn;
        if (!mapped) expect(sameAddress(parseAddress(formatAddress(address)), address)).toBe(true);
      }),
    );
  });

  test("IPv6 text is what a URL shows", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (raw) => {
        // Many zeros, so that there is something to shorten.
        const address = addressFromBytes(raw.map((byte) => (byte < 160 ? 0 : byte)));
        const text = formatAddress(address);
        expect(`[${text}]`).toBe(new URL(`http://[${text}]/`).hostname);
      }),
    );
  });
});

describe("prefixes", () => {
  test.each([
    ["10.0.0.0/33", "33 is outside 0 to 32"],
    ["fd00::/129", "129 is outside 0 to 128"],
    ["::ffff:10.0.0.0/95", "95 is outside 96 to 128"],
    ["10.0.0.0", "ADDRESS/LENGTH"],
    ["10.0.0.0/", "ADDRESS/LENGTH"],
    ["10.0.0.0/-1", "ADDRESS/LENGTH"],
    ["10.0.0.0/24/24", "ADDRESS/LENGTH"],
    ["1.2.3/24", '"1.2.3" is not an IP address'],
  ])("refuses %s", (text, why) => {
    const error = refusal(() => parsePrefix(text));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.message).toContain(why);
  });

  test("keeps the host part and knows the network", () => {
    const prefix = parsePrefix("10.1.2.3/16");
    expect(formatPrefix(prefix)).toBe("10.1.2.3/16");
    expect(formatPrefix(networkOf(prefix))).toBe("10.1.0.0/16");
    expect(boundsOf(prefix)).toEqual({ first: 0x0a010000n, last: 0x0a01ffffn });
  });

  test("holds what lies in its network, of its own family only", () => {
    expect(prefixHas(parsePrefix("10.0.0.0/8"), parseAddress("10.255.0.1"))).toBe(true);
    expect(prefixHas(parsePrefix("10.0.0.0/8"), parseAddress("11.0.0.0"))).toBe(false);
    expect(prefixHas(parsePrefix("::/0"), parseAddress("10.0.0.1"))).toBe(false);
    expect(prefixHas(parsePrefix("0.0.0.0/0"), parseAddress("255.255.255.255"))).toBe(true);
  });

  test("an address alone is the network of one", () => {
    expect(formatPrefix(parsePrefixOrAddress("10.0.0.1"))).toBe("10.0.0.1/32");
    expect(formatPrefix(parsePrefixOrAddress("fd00::1"))).toBe("fd00::1/128");
    expect(formatPrefix(parsePrefixOrAddress("fd00::1/64"))).toBe("fd00::1/64");
  });
});
