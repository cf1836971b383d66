import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { decodePath, encodePath, MAX_PATH_LENGTH } from "../../src/wire/index.js";

describe("the header `path`", () => {
  test("is written as Go writes it, for a first call too", () => {
    expect(encodePath({ index: 0, segments: [] })).toBe('{"Index":0,"PathSegments":null}');
    expect(encodePath({ index: 1, segments: [{ token: "a" }, { token: "b" }] })).toBe(
      '{"Index":1,"PathSegments":[{"token":"a"},{"token":"b"}]}',
    );
  });

  test("reads back what it wrote, in printable ASCII whatever the tokens are", () => {
    const path = fc.record({
      index: fc.nat(),
      segments: fc.array(fc.record({ token: fc.string({ unit: "binary" }) })),
    });
    fc.assert(
      fc.property(path, (given) => {
        const text = encodePath(given);
        expect(text).toMatch(/^[ -~]*$/);
        expect(decodePath(text)).toEqual(given);
      }),
    );
  });

  test.each([
    ['{"index":1,"pathsegments":[{"Token":"a"}]}', { index: 1, segments: [{ token: "a" }] }],
    ['{"Index":0,"PathSegments":[]}', { index: 0, segments: [] }],
    ["{}", { index: 0, segments: [] }],
    ['{"Index":0,"PathSegments":[{}]}', { index: 0, segments: [{ token: "" }] }],
  ])("reads %s", (text, path) => {
    expect(decodePath(text)).toEqual(path);
  });

  test.each([
    "",
    "not JSON",
    '{"Index":-1}',
    '{"Index":0.5}',
    '{"Index":"1"}',
    '{"PathSegments":{}}',
    '{"PathSegments":[{"token":1}]}',
  ])("takes %j for no path at all", (text) => {
    expect(decodePath(text)).toBeUndefined();
  });

  test("rejects a path longer than a header, with its length", () => {
    const segments = Array.from({ length: 200 }, () => ({ token: "x".repeat(500) }));
    const refused = (): string => encodePath({ index: 199, segments });
    expect(refused).toThrow(expect.objectContaining({ code: Code.ResourceExhausted }));
    expect(refused).toThrow(`200 segments`);
    expect(refused).toThrow(String(MAX_PATH_LENGTH));
  });
});
