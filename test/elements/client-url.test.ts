import { describe, expect, test } from "vitest";
import { remoteUrl } from "../../src/core/index.js";
import { clientUrl } from "../../src/elements/client-url/index.js";
import { checkContext, describeElement, run } from "../../src/testing/index.js";

describeElement("client-url", () => clientUrl("tcp://a"));

describe("client-url", () => {
  test.each([
    ["sets where to go", undefined, "tcp://a", "tcp://a"],
    ["overwrites where to go", "tcp://b", "tcp://a", "tcp://a"],
    ["hides where to go", "tcp://b", undefined, undefined],
  ])("%s, for Request and Close", async (_title, before, url, after) => {
    const seen: unknown[] = [];
    const recordUrl = checkContext((ctx) => void seen.push(ctx.get(remoteUrl)));
    const { ctx, request, close } = run([clientUrl(url), recordUrl]);
    const inner = ctx.with(remoteUrl, before);
    await close(await request({}, inner), inner);
    expect(seen).toEqual([after, after]);
  });
});
