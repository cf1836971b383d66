import { Metadata } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { tokenFromHeaders, tokenHeaders } from "../../src/identity/token-headers.js";

const headers = (token: readonly string[], expires: readonly string[]): Map<string, readonly string[]> =>
  new Map([
    ["nsm-client-token", token],
    ["nsm-client-token-expires", expires],
  ]);

describe("tokenHeaders", () => {
  test.each([
    [{ seconds: 1795237239, nanos: 955373234 }, "2026-11-21T05:00:39.955373234Z"],
    [{ seconds: 1795237239, nanos: 955373000 }, "2026-11-21T05:00:39.955373Z"],
    [{ seconds: 1795237239, nanos: 500000000 }, "2026-11-21T05:00:39.5Z"],
    [{ seconds: 1795237239, nanos: 1 }, "2026-11-21T05:00:39.000000001Z"],
    [{ seconds: 1795237239, nanos: 0 }, "2026-11-21T05:00:39Z"],
    [{ seconds: -1, nanos: 0 }, "1969-12-31T23:59:59Z"],
  ])("write %j as %s", (expires, text) => {
    expect(tokenHeaders({ token: "a.b.c", expires })).toEqual({
      "nsm-client-token": "a.b.c",
      "nsm-client-token-expires": text,
    });
  });

  test("refuse a time that RFC 3339 cannot write", () => {
    const write = (): unknown =>
      tokenHeaders({ token: "a.b.c", expires: { seconds: 253402300800, nanos: 0 } });
    expect(write).toThrow(expect.objectContaining({ code: Code.OutOfRange }));
    expect(write).toThrow("253402300800");
  });

  test("come back unchanged", () => {
    const expires = fc.record({
      seconds: fc.integer({ min: -62135596800, max: 253402300799 }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
    });
    fc.assert(
      fc.property(expires, (expires) => {
        const metadata = new Metadata();
        for (const [name, value] of Object.entries(tokenHeaders({ token: "a.b.c", expires }))) {
          metadata.set(name, value);
        }
        expect(tokenFromHeaders(metadata)).toEqual({ token: "a.b.c", expires });
      }),
    );
  });
});

describe("tokenFromHeaders", () => {
  test.each([
    ["2026-11-21T05:00:39.955373234Z", 1795237239, 955373234],
    ["2026-11-21T07:30:39.5+02:30", 1795237239, 500000000],
    ["2026-11-20T23:00:39-06:00", 1795237239, 0],
    ["2026-11-21T05:00:39.9553732349Z", 1795237239, 955373234],
    ["2024-02-29T00:00:00Z", 1709164800, 0],
  ])("reads the time %s", (text, seconds, nanos) => {
    expect(tokenFromHeaders(headers(["t"], [text]))).toEqual({ token: "t", expires: { seconds, nanos } });
  });

  const time = "2026-11-21T05:00:39Z";
  test.each([
    ["without both", [], []],
    ["without the token", [], [time]],
    ["without the time", ["t"], []],
    ["with two tokens", ["t", "u"], [time]],
    ["with two tokens joined on the way", ["t, u"], [time]],
    ["with two times", ["t"], [time, time]],
    ["with two times joined on the way", ["t"], [`${time}, ${time}`]],
    ["with an empty token", [""], [time]],
    ["with an empty time", ["t"], [""]],
    ["with a time without zone", ["t"], ["2026-11-21T05:00:39"]],
    ["with a time without seconds", ["t"], ["2026-11-21T05:00Z"]],
    ["with a day that is none", ["t"], ["2026-02-30T05:00:39Z"]],
    ["with an hour that is none", ["t"], ["2026-11-21T24:00:00Z"]],
    ["with an offset that is none", ["t"], ["2026-11-21T05:00:39+25:00"]],
    ["with a dot and no decimals", ["t"], ["2026-11-21T05:00:39.Z"]],
    ["with seconds since the epoch", ["t"], ["1795237239"]],
  ])("takes a call %s as one without token", (_title, token, expires) => {
    expect(tokenFromHeaders(headers(token, expires))).toBeUndefined();
  });

  test("takes a call without any header as one without token", () => {
    expect(tokenFromHeaders(new Metadata())).toBeUndefined();
    expect(tokenFromHeaders(new Map())).toBeUndefined();
  });
});
