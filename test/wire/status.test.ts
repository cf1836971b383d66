import { describe, expect, test } from "vitest";
import { Code, NsmError } from "../../src/core/index.js";
import { statusOf } from "../../src/wire/index.js";

describe("the status a caller gets for an error", () => {
  test("has its code and all its messages, outermost first", () => {
    const cause = new AggregateError([new NsmError(Code.NotFound, "a is gone"), new Error("b is late")]);
    expect(statusOf(new NsmError(Code.Unavailable, "every candidate refused", { cause }))).toEqual({
      code: Code.Unavailable,
      details: "every candidate refused: a is gone; b is late",
    });
  });

  test("is INTERNAL for an unexpected error", () => {
    expect(statusOf(new TypeError("x is undefined"))).toEqual({
      code: Code.Internal,
      details: "internal error: x is undefined",
    });
    expect(statusOf("text")).toEqual({ code: Code.Internal, details: "internal error: text" });
  });

  test("is CANCELLED or DEADLINE_EXCEEDED for an abort of any origin", () => {
    expect(statusOf(AbortSignal.abort().reason).code).toBe(Code.Cancelled);
    expect(statusOf(new DOMException("late", "TimeoutError")).code).toBe(Code.DeadlineExceeded);
  });

  test("is never OK", () => {
    expect(statusOf(new NsmError(Code.Ok, "odd")).code).toBe(Code.Unknown);
  });

  test("shows no token, key or certificate", () => {
    const pem = "-----BEGIN PRIVATE KEY-----\nMIGH\nAgEA\n-----END PRIVATE KEY-----";
    const { details } = statusOf(
      new NsmError(Code.Internal, `bad eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln and ${pem}!`),
    );
    expect(details).toBe("bad <token> and <key or certificate>!");
  });

  test.each([
    ["x.eyJhbGci.eyJzdWIi.c2ln", "x.<token>"],
    ["token-eyJhbGci.eyJzdWIi.c2ln.eyJhbGci.eyJzdWIi.", "token-<token>.<token>"],
    ["eyJhbGci", "eyJhbGci"],
  ])("shows no token wherever it stands: %s", (text, shown) => {
    expect(statusOf(new NsmError(Code.Internal, text)).details).toBe(shown);
  });

  test("is computed at once for long words that a caller chose", () => {
    for (const word of ["eyJ-", "eyJa.", "a.eyJ-", "-----BEGIN "]) {
      // A pattern that tries every start would take hours, and run into the test's time limit.
      const { code } = statusOf(new NsmError(Code.InvalidArgument, word.repeat(1 << 20)));
      expect(code).toBe(Code.InvalidArgument);
    }
  });

  test("is truncated to fit a header, and is always valid UTF-8", () => {
    const { details } = statusOf(new NsmError(Code.Internal, `${"x".repeat(4_095)}😀 and \ud800 more`));
    expect(details.length).toBeLessThan(4_200);
    expect(() => encodeURI(details)).not.toThrow();
  });
});
