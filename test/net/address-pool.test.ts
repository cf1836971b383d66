import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AddressPool,
  AddressSet,
  formatAddress,
  formatPrefix,
  hostPrefix,
  parseAddress,
  parsePrefix,
} from "../../src/net/index.js";

const pool = (...texts: string[]): AddressPool => new AddressPool(texts.map(parsePrefix));
const set = (...texts: string[]): AddressSet => new AddressSet(texts.map(parsePrefix));
const text = (address: ReturnType<AddressPool["pull"]>): string | undefined =>
  address && formatAddress(address);

describe("AddressPool", () => {
  test("allocates the lowest free address, across its prefixes, until none is left", () => {
    const addresses = pool("10.0.0.4/31", "10.0.0.0/31", "fd00::/127");
    expect(Array.from({ length: 7 }, () => text(addresses.pull()))).toEqual([
      "10.0.0.0",
      "10.0.0.1",
      "10.0.0.4",
      "10.0.0.5",
      "fd00::",
      "fd00::1",
      undefined,
    ]);
  });

  test("allocates a released address again", () => {
    const addresses = pool("10.0.0.0/30");
    const first = addresses.pull()!;
    addresses.pull();
    expect(addresses.giveBack(first)).toBe(true);
    expect(text(addresses.pull())).toBe("10.0.0.0");
    expect(text(addresses.pull())).toBe("10.0.0.2");
  });

  test("skips what the caller excludes, and does not remember it", () => {
    const addresses = pool("10.0.0.0/24");
    expect(text(addresses.pull(set("10.0.0.0/25", "10.0.0.128/31")))).toBe("10.0.0.130");
    expect(text(addresses.pull())).toBe("10.0.0.0");
    expect(addresses.pull(set("10.0.0.0/8"))).toBeUndefined();
  });

  test("allocates a given address once", () => {
    const addresses = pool("10.0.0.0/24");
    const wanted = parseAddress("10.0.0.7");
    expect(addresses.take(wanted)).toBe(true);
    expect(addresses.take(wanted)).toBe(false);
    expect(addresses.isFree(wanted)).toBe(false);
    expect(addresses.contains(wanted)).toBe(true);
    expect(addresses.take(parseAddress("10.0.1.0"))).toBe(false);
    expect(addresses.take(parseAddress("::ffff:10.0.0.8"))).toBe(true);
  });

  test("rejects the release of foreign addresses", () => {
    const addresses = pool("10.0.0.0/31");
    expect(addresses.giveBack(parseAddress("10.0.0.2"))).toBe(false);
    addresses.pull();
    addresses.exclude(parsePrefix("10.0.0.0/32"));
    expect(addresses.giveBack(parseAddress("10.0.0.0"))).toBe(false);
    expect(addresses.freePrefixes().map(formatPrefix)).toEqual(["10.0.0.1/32"]);
  });

  test("excluding everything leaves an empty pool", () => {
    const addresses = pool("10.0.0.0/24", "fd00::/64");
    addresses.exclude(parsePrefix("0.0.0.0/0"));
    addresses.exclude(parsePrefix("::/0"));
    expect(addresses.pull()).toBeUndefined();
    expect(addresses.freePrefixes()).toEqual([]);
  });

  test("cuts networks out and joins them again", () => {
    const addresses = pool("10.0.0.0/24");
    const cut = Array.from({ length: 20 }, () => addresses.pullPrefix(4, 31)!);
    expect(cut.slice(0, 3).map(formatPrefix)).toEqual(["10.0.0.0/31", "10.0.0.2/31", "10.0.0.4/31"]);
    expect(addresses.freePrefixes().map(formatPrefix)).toEqual([
      "10.0.0.40/29",
      "10.0.0.48/28",
      "10.0.0.64/26",
      "10.0.0.128/25",
    ]);
    expect(addresses.takePrefix(parsePrefix("10.0.0.128/25"))).toBe(true);
    expect(addresses.pullPrefix(4, 25)).toBeUndefined();
    for (const prefix of [...cut, parsePrefix("10.0.0.128/25")])
      expect(addresses.giveBackPrefix(prefix)).toBe(true);
    expect(addresses.freePrefixes().map(formatPrefix)).toEqual(["10.0.0.0/24"]);
  });

  test("cuts aligned networks that avoid the excluded ones", () => {
    const addresses = pool("172.16.0.0/16");
    const even = set("172.16.0.0/24", "172.16.2.0/24");
    expect(formatPrefix(addresses.pullPrefix(4, 24, even)!)).toBe("172.16.1.0/24");
    expect(formatPrefix(addresses.pullPrefix(4, 24, even)!)).toBe("172.16.3.0/24");
  });

  test("behaves as a plain list of free addresses would", () => {
    const size = 16;
    const host = fc.nat(size + 3); // some are not of the pool
    const step = fc.oneof(
      fc.record({ kind: fc.constant("pull" as const), except: fc.array(host, { maxLength: 4 }) }),
      fc.record({ kind: fc.constant("take" as const), host }),
      fc.record({ kind: fc.constant("giveBack" as const), host }),
      fc.record({ kind: fc.constant("exclude" as const), host }),
    );
    const address = (n: number) => parseAddress(`10.0.0.${n}`);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const addresses = pool("10.0.0.0/28");
        const all = new Set(Array.from({ length: size }, (_, i) => i));
        const free = new Set(all);
        for (const each of steps) {
          switch (each.kind) {
            case "pull": {
              const expected = [...free].sort((a, b) => a - b).find((n) => !each.except.includes(n));
              const except = new AddressSet(each.except.map((n) => hostPrefix(address(n))));
              expect(text(addresses.pull(except))).toBe(
                expected === undefined ? undefined : `10.0.0.${expected}`,
              );
              if (expected !== undefined) free.delete(expected);
              break;
            }
            case "take":
              expect(addresses.take(address(each.host))).toBe(free.delete(each.host));
              break;
            case "giveBack":
              expect(addresses.giveBack(address(each.host))).toBe(all.has(each.host));
              if (all.has(each.host)) free.add(each.host);
              break;
            case "exclude":
              addresses.exclude(hostPrefix(address(each.host)));
              all.delete(each.host);
              free.delete(each.host);
          }
        }
        for (let n = 0; n < size + 4; n++) expect(addresses.isFree(address(n))).toBe(free.has(n));
      }),
    );
  });

  test("allocates from a large, fragmented pool in microseconds", () => {
    const addresses = pool("10.0.0.0/16");
    const taken = Array.from({ length: 20_000 }, () => addresses.pull()!);
    taken.filter((_, i) => i % 2 === 0).forEach((each) => addresses.giveBack(each));
    const rounds = 20_000;
    const started = performance.now();
    for (let i = 0; i < rounds; i++) addresses.giveBack(addresses.pull()!);
    // Generous for a busy machine: one clone of the 10,000 ranges per allocation would take far longer.
    expect((performance.now() - started) / rounds).toBeLessThan(0.1);
  });
});
