import { describe, expect, test } from "vitest";
import { patchConnection } from "../../src/api/index.js";
import {
  chain,
  Code,
  Context,
  NsmError,
  silent,
  traceChanges,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { sampleRequest } from "../../src/testing/index.js";

interface Line {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** Runs one Request through a chain and returns what was logged. */
async function logged(...elements: NetworkServiceElement[]): Promise<Line[]> {
  const lines: Line[] = [];
  const debug = (fields: object, message: string): void =>
    void lines.push({ fields: fields as Record<string, unknown>, message });
  const service = chain(elements, { trace: traceChanges({ ...silent, debug }) });
  await service.request(Context.background(), sampleRequest(0)).catch(() => {});
  return lines;
}

const pass: NetworkServiceElement = {
  name: "pass",
  request: (ctx, request, next) => next.request(ctx, request),
};
const label: NetworkServiceElement = {
  name: "label",
  request: (ctx, request, next) =>
    next.request(ctx, patchConnection(request, { labels: { secret: "value" } })),
};
const answer: NetworkServiceElement = {
  name: "answer",
  request: async (ctx, request, next) => ({ ...(await next.request(ctx, request)), payload: "IP" }),
};
const fail: NetworkServiceElement = {
  name: "fail",
  request: () => Promise.reject(new NsmError(Code.Unavailable, "no")),
};

describe("tracing changes", () => {
  test("says nothing of elements that change nothing", async () => {
    expect(await logged(pass, pass, pass)).toEqual([]);
  });

  test("names the element and the fields it changed on the way in, not their values", async () => {
    const lines = await logged(pass, label, pass);
    expect(lines).toEqual([
      {
        fields: { element: "label/request", changed: ["connection.labels.secret"] },
        message: "changed the request",
      },
    ]);
  });

  test("names the element and the fields it changed on the way back", async () => {
    const lines = await logged(pass, answer, pass);
    expect(lines).toEqual([
      { fields: { element: "answer/request", changed: ["payload"] }, message: "changed the answer" },
    ]);
  });

  test("says once where an error began", async () => {
    expect(await logged(pass, pass, fail)).toEqual([
      { fields: { element: "fail/request", code: "Unavailable" }, message: "failed here" },
    ]);
  });
});
