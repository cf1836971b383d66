import { describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { SpiffeId } from "../../src/identity/index.js";

describe("SpiffeId", () => {
  test.each([
    ["spiffe://example.org", "example.org", ""],
    ["spiffe://example.org/nsmgr", "example.org", "/nsmgr"],
    ["spiffe://a_b-1.test/ns/Default/sa/x.y_z-0", "a_b-1.test", "/ns/Default/sa/x.y_z-0"],
    ["spiffe://example.org/...", "example.org", "/..."],
  ])("reads %s", (text, trustDomain, path) => {
    const id = SpiffeId.parse(text);
    expect(id).toMatchObject({ trustDomain, path });
    expect(`${id}`).toBe(text);
    expect(JSON.stringify({ id })).toBe(`{"id":"${text}"}`);
  });

  test.each([
    ["", "must begin with"],
    ["nsmgr", "must begin with"],
    ["SPIFFE://example.org", "must begin with"],
    ["https://example.org/x", "must begin with"],
    ["spiffe:/example.org", "must begin with"],
    ["spiffe://", "trust domain is missing"],
    ["spiffe:///nsmgr", "trust domain is missing"],
    ["spiffe://Example.org/x", "lower-case"],
    ["spiffe://example.org:80/x", "no port"],
    ["spiffe://user@example.org/x", "no user"],
    ["spiffe://exämple.org", "lower-case"],
    [`spiffe://${"a".repeat(256)}/x`, "at most 255"],
    [`spiffe://a/${"b".repeat(2048)}`, "at most 2048 bytes"],
    ["spiffe://example.org/", 'must not end with "/"'],
    ["spiffe://example.org/a/", 'must not end with "/"'],
    ["spiffe://example.org//a", "empty segments"],
    ["spiffe://example.org/a/./b", '"." or ".."'],
    ["spiffe://example.org/..", '"." or ".."'],
    ["spiffe://example.org/a%20b", "no escapes"],
    ["spiffe://example.org/a?b=c", "query"],
    ["spiffe://example.org/a#b", "fragment"],
    ["spiffe://example.org?b", "lower-case"],
    ["spiffe://example.org/ä", "letters"],
    ["spiffe://example.org/a\nb", "letters"],
  ])("rejects %.60j with the reason", (text, why) => {
    const parse = (): SpiffeId => SpiffeId.parse(text);
    expect(parse).toThrow(why);
    expect(parse).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
    expect(parse).toThrow(JSON.stringify(text.slice(0, 200)).slice(0, -1));
  });

  test("is equal to an id of the same text only", () => {
    const id = SpiffeId.of("example.org", "/a");
    expect(id.equals(SpiffeId.parse("spiffe://example.org/a"))).toBe(true);
    expect(id.equals(SpiffeId.of("example.org", "/A"))).toBe(false);
    expect(id.equals(SpiffeId.of("example.net", "/a"))).toBe(false);
    expect(id.equals(undefined)).toBe(false);
  });

  test("is not put together from a path that runs into the trust domain", () => {
    expect(() => SpiffeId.of("example.org", ".evil/a")).toThrow('must begin with "/"');
  });

  test("quotes what is not an id in one bounded line", () => {
    expect(() => SpiffeId.parse(`x\n${"y".repeat(10_000)}`)).toThrow(/^"x\\ny{198}…" is not a SPIFFE id: /);
  });
});
