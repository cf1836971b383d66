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

const problemsOf = (methods: Partial<NetworkServiceElement>): Promise<string[]> =>
  broken(elementChecks("bad", () => ({ name: "bad", ...methods })));

const refusedOutside = [
  "holds nothing when the element before it refuses the answer",
  "holds nothing when an element outside of connection-state refuses the answer",
];

describeElement("well-behaved", () => ({ name: "well-behaved" }));
describeRegistryElement("well-behaved", () => ({ name: "well-behaved" }));

describe("the element contract", () => {
  test("is broken by another name", async () => {
    expect(await broken(elementChecks("good", () => ({ name: "bad" })))).toEqual([
      "has the name that the suite was given",
    ]);
  });

  test("is broken by an element that hides what failed", async () => {
    const sentences = await problemsOf({
      request: (ctx, request, next) =>
        next
          .request(ctx, request)
          .catch(() => Promise.reject(new NsmError(Code.Unknown, "something failed"))),
    });
    expect(sentences).toContain("passes on what a downstream Request failed with, and holds nothing");
    expect(sentences).toContain("honours an abort while the Request is downstream, and holds nothing");
  });

  test("is broken by an element that swallows a failing Close", async () => {
    expect(
      await problemsOf({ close: (ctx, connection, next) => next.close(ctx, connection).catch(() => {}) }),
    ).toEqual(["passes on what a downstream Close failed with, and holds nothing"]);
  });

  test("is broken by an element that leaves a timer behind when its first Request fails", async () => {
    const timer = new Slot<CancelTimer>("timer");
    const sentences = await problemsOf({
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
      "honours an abort while the Request is downstream, and holds nothing",
      "keeps a connection whose refresh failed downstream",
      "keeps a connection whose refresh was canceled halfway",
      ...refusedOutside,
      "keeps a connection when an outer element refuses the answer to its refresh",
    ]);
  });

  test("is broken by an element that calls on twice", async () => {
    const sentences = await problemsOf({
      async request(ctx, request, next) {
        await next.request(ctx, request);
        return next.request(ctx, request);
      },
    });
    expect(sentences).toContain("lets a Request and its Close through, each once, and holds nothing");
  });

  test("is broken by an element that answers every Request differently", async () => {
    let calls = 0;
    const sentences = await problemsOf({
      async request(ctx, request, next) {
        return { ...(await next.request(ctx, request)), networkServiceEndpointName: `nse-${calls++}` };
      },
    });
    expect(sentences).toContain("answers a refresh like the Request before it");
  });

  test("is broken by an element that writes to what it was given", async () => {
    const sentences = await problemsOf({
      request(ctx, request, next) {
        (request.connection as { payload: Connection["payload"] }).payload = "IP";
        return next.request(ctx, request);
      },
    });
    expect(sentences.length).toBeGreaterThan(5);
  });

  test("is broken by an element that keeps one value for all connections", async () => {
    let only: string | undefined;
    const sentences = await problemsOf({
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

/** What the guide shows first: it counts, and gives nothing back. */
function quotaWithoutRelease({ perClient }: { perClient: number }): NetworkServiceElement {
  let used = 0;
  return {
    name: "quota",
    request(ctx, request, next) {
      if (used >= perClient) return Promise.reject(new NsmError(Code.ResourceExhausted, "too many"));
      used++;
      return next.request(ctx, request);
    },
  };
}

/** A quota with a catch block and a close method, which an outer element's error passes by. */
function quotaWithCatch({ perClient }: { perClient: number }): NetworkServiceElement {
  const counted = new Slot<true>("quota");
  let used = 0;
  return {
    name: "quota",
    async request(ctx, request, next) {
      if (counted.get(ctx)) return next.request(ctx, request);
      if (used >= perClient) throw new NsmError(Code.ResourceExhausted, "too many");
      used++;
      counted.set(ctx, true);
      try {
        return await next.request(ctx, request);
      } catch (error) {
        counted.take(ctx);
        used--;
        throw error;
      }
    },
    async close(ctx, connection, next) {
      if (counted.take(ctx)) used--;
      await next.close(ctx, connection);
    },
  };
}

// Without debugState(): only the second round can show what the first one has kept.
describe("the element contract, of elements that do not report what they hold,", () => {
  test("is broken by a quota that gives nothing back", async () => {
    const sentences = await broken(elementChecks("quota", () => quotaWithoutRelease({ perClient: 2 })));
    expect(sentences).toContain("answers a refresh like the Request before it");
    expect(sentences).toContain("passes on what a downstream Request failed with, and holds nothing");
    expect(sentences).toContain("keeps connections apart");
    expect(sentences).toEqual(expect.arrayContaining(refusedOutside));
  });

  test("is broken by a quota that gives back what fails further on, but not what an outer element refuses", async () => {
    const sentences = await broken(elementChecks("quota", () => quotaWithCatch({ perClient: 2 })));
    expect(sentences).toEqual(refusedOutside);
  });
});

describe("the registry element's contract", () => {
  test("is broken by one that keeps what it should forget", async () => {
    const names = new Set<string>();
    const checks = registryElementChecks("bad", () => ({
      name: "bad",
      inside: ["registration-state"],
      debugState: () => ({ names: names.size }),
      register: (ctx, entry, next) => next.register(ctx, (names.add(entry.name), entry)),
    }));
    const all = checks.map(([sentence]) => sentence);
    expect(await broken(checks)).toEqual(
      all.filter((sentence) => sentence !== "has the name that the suite was given"),
    );
  });

  test("is broken by one that gives back what fails further on, but not what an outer element refuses", async () => {
    const names = new Set<string>();
    const checks = registryElementChecks("bad", () => ({
      name: "bad",
      inside: ["registration-state"],
      debugState: () => ({ names: names.size }),
      async register(ctx, entry, next) {
        const known = names.has(entry.name);
        names.add(entry.name);
        try {
          return await next.register(ctx, entry);
        } catch (error) {
          if (!known) names.delete(entry.name);
          throw error;
        }
      },
      async unregister(ctx, entry, next) {
        names.delete(entry.name);
        await next.unregister(ctx, entry);
      },
    }));
    expect(await broken(checks)).toEqual(["holds nothing when the element before it refuses the answer"]);
  });
});
