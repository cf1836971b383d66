import { describe, expect, test } from "vitest";
import type { Connection } from "../../src/api/index.js";
import { Code, NsmError, Slot, type CancelTimer, type NetworkServiceElement } from "../../src/core/index.js";
import { elementChecks } from "../../src/testing/describe-element.js";
import { registryElementChecks } from "../../src/testing/describe-registry-element.js";
import { describeElement, describeRegistryElement } from "../../src/testing/index.js";
import type { Check } from "../../src/testing/suite.js";

/** The sentences of a contract that do not hold. */
async function broken(checks: readonly Check[]): Promise<string[]> {
  const failed: string[] = [];
  for (const [sentence, check] of checks) await check().catch(() => failed.push(sentence));
  return failed;
}

const brokenBy = (methods: Partial<NetworkServiceElement>): Promise<string[]> =>
  broken(elementChecks("bad", () => ({ name: "bad", ...methods })));

describeElement("well-behaved", () => ({ name: "well-behaved" }));
describeRegistryElement("well-behaved", () => ({ name: "well-behaved" }));

describe("the element contract", () => {
  test("is broken by another name", async () => {
    expect(await broken(elementChecks("good", () => ({ name: "bad" })))).toEqual([
      "is called what its folder is called",
    ]);
  });

  test("is broken by an element that hides what failed", async () => {
    const sentences = await brokenBy({
      request: (ctx, request, next) =>
        next
          .request(ctx, request)
          .catch(() => Promise.reject(new NsmError(Code.Unknown, "something failed"))),
    });
    expect(sentences).toContain("passes on what a downstream Request failed with, and holds nothing");
    expect(sentences).toContain("honours an abort, and holds nothing");
  });

  test("is broken by an element that swallows a failing Close", async () => {
    expect(
      await brokenBy({ close: (ctx, connection, next) => next.close(ctx, connection).catch(() => {}) }),
    ).toEqual(["passes on what a downstream Close failed with, and holds nothing"]);
  });

  test("is broken by an element that leaves a timer behind when its first Request fails", async () => {
    const timer = new Slot<CancelTimer>("timer");
    const sentences = await brokenBy({
      async request(ctx, request, next) {
        timer.take(ctx)?.();
        timer.set(
          ctx,
          ctx.clock.after(1_000, () => {}),
        );
        return next.request(ctx, request);
      },
      async close(ctx, connection, next) {
        timer.take(ctx)?.();
        await next.close(ctx, connection);
      },
    });
    expect(sentences).toEqual([
      "passes on what a downstream Request failed with, and holds nothing",
      "keeps a connection whose refresh failed",
      "honours an abort, and holds nothing",
    ]);
  });

  test("is broken by an element that calls on twice", async () => {
    const sentences = await brokenBy({
      async request(ctx, request, next) {
        await next.request(ctx, request);
        return next.request(ctx, request);
      },
    });
    expect(sentences).toContain("lets a Request and its Close through, each once, and holds nothing");
  });

  test("is broken by an element that answers every Request differently", async () => {
    let calls = 0;
    const sentences = await brokenBy({
      async request(ctx, request, next) {
        return { ...(await next.request(ctx, request)), networkServiceEndpointName: `nse-${calls++}` };
      },
    });
    expect(sentences).toContain("answers a refresh like the Request before it");
  });

  test("is broken by an element that writes to what it was given", async () => {
    const sentences = await brokenBy({
      request(ctx, request, next) {
        (request.connection as { payload: Connection["payload"] }).payload = "IP";
        return next.request(ctx, request);
      },
    });
    expect(sentences.length).toBeGreaterThan(5);
  });

  test("is broken by an element that keeps one value for all connections", async () => {
    let only: string | undefined;
    const sentences = await brokenBy({
      async request(ctx, request, next) {
        const response = await next.request(ctx, request);
        only ??= response.id;
        return { ...response, networkServiceEndpointName: only };
      },
      async close(ctx, connection, next) {
        only = undefined;
        await next.close(ctx, connection);
      },
    });
    expect(sentences).toEqual(["keeps connections apart"]);
  });
});

test("the registry element's contract is broken by one that keeps what it should forget", async () => {
  const names = new Set<string>();
  const checks = registryElementChecks("bad", () => ({
    name: "bad",
    debugState: () => ({ names: names.size }),
    register: (ctx, entry, next) => next.register(ctx, (names.add(entry.name), entry)),
  }));
  expect(await broken(checks)).toEqual([
    "passes on what a Register behind it failed with, and holds nothing",
    "passes on what an Unregister behind it failed with, and holds nothing",
    "passes on what a Find behind it failed with",
    "lets a Register and its Unregister through, each once, and holds nothing",
    "answers a refresh like the Register before it",
    "keeps an entry whose refresh failed",
    "honours an abort, and holds nothing",
  ]);
});
