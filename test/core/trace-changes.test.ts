import { describe, expect, test } from "vitest";
import { EMPTY, lastValueFrom, throwError, type Observable } from "rxjs";
import { NetworkServiceEndpointQuery, patchConnection } from "../../src/api/index.js";
import {
  chain,
  Code,
  Context,
  endpointRegistryChain,
  NsmError,
  silent,
  traceChanges,
  type NetworkServiceElement,
  type TraceHook,
} from "../../src/core/index.js";
import { whenOver } from "../../src/core/trace.js";
import { sampleRequest } from "../../src/testing/index.js";

interface Line {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** Runs one Request through a chain and returns the log lines. */
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
  test("logs nothing for elements that change nothing", async () => {
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

  test("logs once where an error started", async () => {
    expect(await logged(pass, pass, fail)).toEqual([
      { fields: { element: "fail/request", code: "Unavailable" }, message: "failed here" },
    ]);
  });

  test("logs a thrown value that is not an Error, and forwards it", async () => {
    const thrown = { name: "odd", request: () => Promise.reject("a string" as unknown as Error) };
    expect(await logged(pass, thrown)).toEqual([
      { fields: { element: "odd/request", code: "Unknown" }, message: "failed here" },
    ]);
  });

  test("sees streams complete and fail", async () => {
    const seen: string[] = [];
    const trace: TraceHook = ({ element, ctx, proceed }) =>
      whenOver(proceed(ctx), {
        completed: () => void seen.push(`${element} completed`),
        failed: (error) => void seen.push(`${element} failed: ${String(error)}`),
      });
    const find = async (result: Observable<never>): Promise<void> => {
      const registry = endpointRegistryChain([{ name: "finding", find: () => result }], { trace });
      const found = registry.find(Context.background(), NetworkServiceEndpointQuery.create());
      await lastValueFrom(found, { defaultValue: undefined }).catch(() => {});
    };
    await find(EMPTY);
    await find(throwError(() => "lost"));
    expect(seen).toEqual(["finding completed", "finding failed: lost"]);
  });
});
