import { InvalidArgumentError } from "commander";
import { describe, expect, test } from "vitest";
import {
  addressAndPort,
  dialUrl,
  duration,
  identitySource,
  labels,
  list,
  oneOf,
  positiveDuration,
  prefixGroups,
  repeatable,
} from "../../../src/programs/config/values.js";

describe("a duration", () => {
  test.each([
    ["750ms", 750],
    ["10m", 600_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    ["-1m", -60_000],
    ["0", 0],
  ])("%s is %d ms, as in Go", (text, ms) => {
    expect(duration(text)).toBe(ms);
  });

  test.each(["10", "ten minutes", "5 m", "", "m", "1h-30m"])("refuses %j", (text) => {
    expect(() => duration(text)).toThrow(InvalidArgumentError);
  });
});

describe("a duration that something is to happen in", () => {
  test("is read like any other", () => {
    expect(positiveDuration("10m")).toBe(600_000);
  });

  test.each(["0", "0s", "-5s"])("refuses %j", (text) => {
    expect(() => positiveDuration(text)).toThrow(/more than 0/);
  });
});

describe("the URL of another process", () => {
  test.each(["tcp://127.0.0.1:5001", "unix:///run/nsm.sock", "registry:5001"])("may be %j", (url) => {
    expect(dialUrl(url)).toBe(url);
  });

  test.each(["", "bogus://x", "tcp://nohost", "http://127.0.0.1:1"])("may not be %j", (url) => {
    expect(() => dialUrl(url)).toThrow(InvalidArgumentError);
  });
});

describe("labels", () => {
  test("are read as k=v and as k:v, so that manifests of the Go programs keep working", () => {
    expect(labels("app=web, zone:a,url=http://x")).toEqual({ app: "web", zone: "a", url: "http://x" });
  });

  test("refuse what has no value", () => {
    expect(() => labels("app")).toThrow(/"app" is not a label/);
  });
});

describe("groups of prefixes", () => {
  test("are one prefix each unless brackets join them", () => {
    expect(prefixGroups("10.0.0.0/24,2001:db8::/116")).toEqual([["10.0.0.0/24"], ["2001:db8::/116"]]);
    expect(prefixGroups("[10.0.0.0/24,10.1.0.0/24],2001:db8::/116")).toEqual([
      ["10.0.0.0/24", "10.1.0.0/24"],
      ["2001:db8::/116"],
    ]);
  });

  test("refuse what is no prefix, naming it", () => {
    expect(() => prefixGroups("10.0.0.0/24,10.0.0.0/33")).toThrow(/"10\.0\.0\.0\/33" is not a prefix/);
  });

  test.each(["[10.0.0.0/24", "10.0.0.0/24]", "[[10.0.0.0/24]]"])("refuse %s", (text) => {
    expect(() => prefixGroups(text)).toThrow(/Brackets/);
  });
});

describe("lists", () => {
  test("drop empty items and add up over several mentions", () => {
    expect(list("a, b,,c ")).toEqual(["a", "b", "c"]);
    expect(repeatable("c", repeatable("a,b", undefined))).toEqual(["a", "b", "c"]);
  });

  test("of something that is needed have at least one item", () => {
    expect(() => repeatable(" , ", undefined)).toThrow(/at least one/);
  });
});

describe("one of a few words", () => {
  test("is found in upper and lower case, anything else is refused with what is allowed", () => {
    const payload = oneOf("IP", "ETHERNET");
    expect(payload("ethernet")).toBe("ETHERNET");
    expect(() => payload("tcp")).toThrow(/Allowed are IP, ETHERNET/);
  });
});

describe("an address with its port", () => {
  test("may be an IPv6 one in brackets, or any", () => {
    expect(addressAndPort("127.0.0.1:9090")).toEqual({ address: "127.0.0.1", port: 9090 });
    expect(addressAndPort("[::1]:9090")).toEqual({ address: "::1", port: 9090 });
    expect(addressAndPort(":9090")).toEqual({ address: "", port: 9090 });
  });

  test.each(["9100", "127.0.0.1", "127.0.0.1:99999"])("may not be %j", (text) => {
    expect(() => addressAndPort(text)).toThrow(/ADDRESS:PORT/);
  });
});

describe("the source of an identity", () => {
  test("is a directory of files, or a Workload API", () => {
    expect(identitySource("files=/etc/nsm")).toEqual({ files: "/etc/nsm" });
    expect(identitySource("spiffe")).toBe("spiffe");
  });

  test.each(["passport", "files", "files=", "spiffe=x"])("may not be %j", (text) => {
    expect(() => identitySource(text)).toThrow(/files=DIR/);
  });
});
