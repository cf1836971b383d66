import { describe, expect, test } from "vitest";
import { remoteUrl } from "nsm-sdk/core";
import { clientUrl } from "nsm-sdk/elements/client-url";
import { checkContext, describeElement, run } from "nsm-sdk/testing";

describeElement("client-url", () => clientUrl("tcp://a"));

describe("client-url", () => {
  test.each([
    ["sets where to go", undefined, "tcp://a", "tcp://a"],
    ["overwrites where to go", "tcp://b", "tcp://a", "tcp://a"],
    ["hides where to go", "tcp://b", undefined, undefined],
  ])("%s, for Request and Close", async (_title, before, url, after) => {
    const seen: unknown[] = [];
    const look = checkContext((ctx) => void seen.push(ctx.get(remoteUrl)));
    const { ctx, request, close } = run([clientUrl(url), look]);
    const inner = ctx.with(remoteUrl, before);
    await close(await request({}, inner), inner);
    expect(seen).toEqual([after, after]);
  });
});
