import fc from "fast-check";
import { Code } from "../../src/core/index.js";
import { expect, test } from "vitest";
import { ipText, macText, parseIp, parseMac, parsePrefix } from "../../src/linux/ip-text.js";

test("an address without length is a host", () => {
  expect(parseIp("10.1.2.3")).toMatchObject({ family: 2, bytes: Buffer.of(10, 1, 2, 3), length: 32 });
  expect(parseIp("2001:db8::1")).toMatchObject({ family: 10, length: 128 });
});

test("an address keeps its host bits, a prefix loses them", () => {
  expect(ipText(parseIp("10.1.2.3/12").bytes)).toBe("10.1.2.3");
  expect(ipText(parsePrefix("10.31.2.3/12").bytes)).toBe("10.16.0.0");
  expect(ipText(parsePrefix("2001:db8:ffff::1/33").bytes)).toBe("2001:db8:8000::");
});

test.each([
  "",
  "10.1",
  "10.0.0.1/33",
  "::/129",
  "10.0.0.1/",
  "10.0.0.1/8/8",
  "fe80::1%eth0",
  "10.0.0.1/-1",
  "x",
  "1",
])("%j is refused as an address", (text) => {
  expect(() => parseIp(text)).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
});

test("any address comes back as it went in", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const once = ipText(parseIp(address).bytes);
      expect(ipText(parseIp(once).bytes)).toBe(once);
    }),
  );
});

test("MAC addresses are read and written with colons only", () => {
  expect(macText(parseMac("02:00:00:Aa:00:01"))).toBe("02:00:00:aa:00:01");
  for (const text of ["02-00-00-00-00-01", "02:00:00:00:00", "02:00:00:00:00:0g", ""]) {
    expect(() => parseMac(text)).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
  }
});
