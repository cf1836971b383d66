import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AddressSet,
  boundsOf,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Prefix,
} from "../../src/net/index.js";

const set = (...texts: string[]): AddressSet => new AddressSet(texts.map(parsePrefix));
const texts = (addresses: AddressSet): string[] => addresses.prefixes().map(formatPrefix);

describe("AddressSet", () => {
  test("joins neighbors, IPv4 before IPv6", () => {
    expect(texts(set("fd00:0:0:1::/64", "10.0.0.128/25", "10.0.0.0/25", "fd00::/64"))).toEqual([
      "10.0.0.0/24",
      "fd00::/63",
    ]);
  });

  test("splits where something is taken out", () => {
    const addresses = set("10.0.0.0/29");
    addresses.remove(parsePrefix("10.0.0.3/32"));
    expect(texts(addresses)).toEqual(["10.0.0.0/31", "10.0.0.2/32", "10.0.0.4/30"]);
  });

  test("holds the whole of either family", () => {
    expect(texts(set("::/1", "8000::/1", "0.0.0.0/0"))).toEqual(["0.0.0.0/0", "::/0"]);
  });

  test("writes a range across a /64 border with the fewest prefixes", () => {
    const addresses = set("fd00::ffff:ffff:ffff:fffe/127", "fd00:0:0:1::/127", "fd00:0:0:1::2/128");
    expect(texts(addresses)).toEqual([
      "fd00::ffff:ffff:ffff:fffe/127",
      "fd00:0:0:1::/127",
      "fd00:0:0:1::2/128",
    ]);
  });

  test("keeps the families apart", () => {
    expect(set("0.0.0.0/0").has(parseAddress("::1"))).toBe(false);
    expect(set("::/0").has(parseAddress("0.0.0.1"))).toBe(false);
    expect(set().isEmpty).toBe(true);
    expect(set("::/0").isEmpty).toBe(false);
  });

  test("knows what it covers and what it only touches", () => {
    const addresses = set("10.0.0.0/25");
    expect(addresses.covers(parsePrefix("10.0.0.64/26"))).toBe(true);
    expect(addresses.covers(parsePrefix("10.0.0.0/24"))).toBe(false);
    expect(addresses.touches(parsePrefix("10.0.0.0/24"))).toBe(true);
    expect(addresses.touches(parsePrefix("10.0.1.0/24"))).toBe(false);
  });

  test("the prefixes make up exactly the set, and none could be joined with the next", () => {
    const prefix = fc
      .tuple(fc.nat(255), fc.integer({ min: 24, max: 32 }))
      .map(([host, length]): Prefix => ({ address: parseAddress(`10.0.0.${host}`), length }));
    fc.assert(
      fc.property(fc.array(prefix), fc.array(prefix), (added, removed) => {
        const addresses = new AddressSet(added);
        for (const each of removed) addresses.remove(each);
        const found = addresses.prefixes();
        const again = new AddressSet(found);
        for (let host = 0; host < 256; host++) {
          const address = parseAddress(`10.0.0.${host}`);
          expect(again.has(address)).toBe(addresses.has(address));
        }
        for (let i = 1; i < found.length; i++) {
          const [before, after] = [found[i - 1]!, found[i]!];
          const joinable =
            before.length === after.length &&
            boundsOf({ ...before, length: before.length - 1 }).first === boundsOf(before).first &&
            boundsOf({ ...after, length: after.length - 1 }).first === boundsOf(before).first;
          expect(joinable).toBe(false);
        }
      }),
    );
  });
});
