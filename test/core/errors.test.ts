import { describe, expect, test } from "vitest";
import {
  asNsmError,
  Code,
  codeName,
  codeOf,
  explain,
  isRetryable,
  NsmError,
  isRefusal,
  sharedCode,
} from "../../src/core/index.js";

describe("codeOf", () => {
  test("is an NsmError's code, and a gRPC error's", () => {
    expect(codeOf(new NsmError(Code.NotFound, "nothing"))).toBe(Code.NotFound);
    expect(codeOf(Object.assign(new Error("14 UNAVAILABLE"), { code: 14 }))).toBe(Code.Unavailable);
  });

  test("is CANCELLED for an abort and DEADLINE_EXCEEDED for a timeout of the platform", () => {
    expect(codeOf(new DOMException("gone", "AbortError"))).toBe(Code.Cancelled);
    expect(codeOf(new DOMException("late", "TimeoutError"))).toBe(Code.DeadlineExceeded);
  });

  test("is UNKNOWN for everything else", () => {
    const system = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const odd = Object.assign(new Error("odd"), { code: 99 });
    for (const thrown of [new Error("no"), system, odd, "text", undefined, { code: 5 }]) {
      expect(codeOf(thrown)).toBe(Code.Unknown);
    }
  });
});

test("asNsmError keeps an NsmError and wraps other values, with their code and as cause", () => {
  const own = new NsmError(Code.Aborted, "no");
  expect(asNsmError(own)).toBe(own);
  const cause = Object.assign(new Error("unreachable"), { code: 14 });
  expect(asNsmError(cause)).toMatchObject({ code: Code.Unavailable, message: "unreachable", cause });
  expect(asNsmError("text")).toMatchObject({ code: Code.Unknown, message: "text" });
});

test("a call may be repeated after a temporary failure, not after a permanent one", () => {
  const permanent = [3, 7, 11, 12, 15, 16];
  for (let code = 1; code <= 16; code++)
    expect(isRetryable(code), codeName(code)).toBe(!permanent.includes(code));
  expect(new NsmError(Code.Unavailable, "down").retryable).toBe(true);
  expect(new NsmError(Code.PermissionDenied, "no").retryable).toBe(false);
});

test("sharedCode is the common code of all failures", () => {
  const down = new NsmError(Code.Unavailable, "down");
  expect(sharedCode([down, Object.assign(new Error("down"), { code: 14 })])).toBe(Code.Unavailable);
  expect(sharedCode([down, new NsmError(Code.NotFound, "gone")])).toBeUndefined();
  expect(sharedCode([])).toBeUndefined();
});

test("explain lists the causes, outermost first", () => {
  const refused = new NsmError(Code.Unavailable, "nse-1 is not reachable", {
    cause: new Error("ECONNREFUSED"),
  });
  const all = new NsmError(Code.Unavailable, "every candidate refused", {
    cause: new AggregateError([refused, new Error("nse-2 is full")]),
  });
  expect(explain(all)).toBe("every candidate refused: nse-1 is not reachable: ECONNREFUSED; nse-2 is full");
  expect(explain("text")).toBe("text");
});

test("codeName names codes, known or not", () => {
  expect(codeName(14)).toBe("Unavailable");
  expect(codeName(42)).toBe("code 42");
});

test("no refusal is what may not have reached the other side", () => {
  for (const code of [Code.Unavailable, Code.DeadlineExceeded, Code.Cancelled])
    expect(isRefusal(code)).toBe(false);
  for (const code of [Code.NotFound, Code.Internal, Code.Unknown]) expect(isRefusal(code)).toBe(true);
});
