import { describe, expect, test } from "vitest";
import { State } from "../../../src/api/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { describeElement, recorder, run } from "../../../src/testing/index.js";

describeElement("begin/server", () => beginServer(), { before: [updatePath({ name: "server" })] });

describe("begin/server", () => {
  test("closes the established connection before it serves a reselect", async () => {
    const seen = recorder();
    const { request, refresh } = run([updatePath({ name: "a" }), beginServer(), connectionState(), seen]);
    await request({ networkServiceEndpointName: "old" });
    const connection = await refresh({ state: State.RESELECT_REQUESTED, networkServiceEndpointName: "" });
    expect(seen.closes.map((closed) => closed.networkServiceEndpointName)).toEqual(["old"]);
    expect(connection.state).toBe(State.UP);
  });
});
