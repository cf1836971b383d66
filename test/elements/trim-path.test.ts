import { describe, expect, test } from "vitest";
import { Path, PathSegment, pathOf } from "../../src/api/index.js";
import { Code, type Elements, type NetworkService } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { trimPathClient, trimPathServer } from "../../src/elements/trim-path/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { describeElement, failAfter, run } from "../../src/testing/index.js";

describeElement("trim-path/server", trimPathServer);
describeElement("trim-path/client", trimPathClient);

const stale = Path.create({
  index: 0,
  pathSegments: ["client", "hop", "dead", "long-dead"].map((name) => PathSegment.create({ name, id: name })),
});

async function names(elements: Elements<NetworkService>): Promise<string[]> {
  const { request } = run([updatePath({ name: "hop" }), connectionState(), elements]);
  return pathOf(await request({ id: "client", path: stale })).pathSegments.map(({ name }) => name);
}

describe("trim-path", () => {
  test("removes the segments after a server that ends the connection", async () => {
    expect(await names([trimPathServer()])).toEqual(["client", "hop"]);
  });

  test("keeps the path when a next hop answered", async () => {
    expect(await names([trimPathServer(), trimPathClient()])).toEqual(["client", "hop", "dead", "long-dead"]);
  });

  test("keeps a path that ends here", async () => {
    const { request, refresh } = run([updatePath({ name: "hop" }), connectionState(), trimPathServer()]);
    const first = await request();
    expect(pathOf(first).pathSegments).toHaveLength(2);
    expect(await refresh()).toEqual(first);
  });

  test("trims when this Request reached no next hop, even if an earlier failed one did", async () => {
    let passesOn = true;
    const client = trimPathClient();
    const { request } = run([
      updatePath({ name: "hop" }),
      connectionState(),
      trimPathServer(),
      failingBehind(),
      {
        name: "choosing",
        request: (ctx, r, next) => (passesOn ? client.request!(ctx, r, next) : next.request(ctx, r)),
      },
    ]);
    await request({ id: "client", path: stale });
    await expect(request({ id: "client", path: stale })).rejects.toMatchObject({ code: Code.Unavailable });
    passesOn = false;
    expect(pathOf(await request({ id: "client", path: stale })).pathSegments).toHaveLength(2);

    /** Rejects the second answer on its way back. */
    function failingBehind(): Elements<NetworkService>[number] {
      const fail = failAfter(0, Code.Unavailable);
      let answers = 0;
      return {
        name: "failing",
        async request(ctx, r, next) {
          const response = await next.request(ctx, r);
          return ++answers === 2 ? fail.request(ctx, r, next) : response;
        },
      };
    }
  });
});
