import { describe, expect, test } from "vitest";
import { State } from "../../../src/api/index.js";
import { Code, NsmError, type NetworkServiceElement } from "../../../src/core/index.js";
import { beginClient } from "../../../src/elements/begin/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { describeElement, hold, recorder, run } from "../../../src/testing/index.js";
import { captureEvents } from "./kit.js";

describeElement("begin/client", () => beginClient(), { before: [updatePath({ name: "client" })] });

describe("begin/client", () => {
  test("keeps the changes of a heal when the caller passes an older connection", async () => {
    let endpointName = "old";
    const captured = captureEvents();
    const choose: NetworkServiceElement = {
      name: "choose",
      request: async (ctx, request, next) => ({
        ...(await next.request(ctx, request)),
        networkServiceEndpointName: request.connection!.networkServiceEndpointName || endpointName,
      }),
    };
    const { request, refresh } = run([updatePath({ name: "a" }), beginClient(), captured, choose]);
    await request({ networkServiceEndpointName: "" });
    endpointName = "new";
    await captured.events.request({ reselect: true });
    const connection = await refresh();
    expect(connection.networkServiceEndpointName).toBe("new");
  });

  test("accepts labels, context and endpoint name that the caller changed", async () => {
    const { request, refresh } = run([updatePath({ name: "a" }), beginClient()]);
    await request({ labels: { app: "one" } });
    const connection = await refresh({ labels: { app: "two" }, networkServiceEndpointName: "mine" });
    expect(connection).toMatchObject({ labels: { app: "two" }, networkServiceEndpointName: "mine" });
  });

  test("requests the connection that the event's own reselect returns", async () => {
    const captured = captureEvents();
    const seen = recorder();
    const { request } = run([updatePath({ name: "a" }), beginClient(), captured, seen]);
    await request({ networkServiceEndpointName: "nse", payload: "IP" });
    await captured.events.request({ reselect: (connection) => ({ ...connection, payload: "" }) });
    expect(seen.requests[1]!.connection).toMatchObject({ networkServiceEndpointName: "nse", payload: "" });
  });

  test("leaves most of an event's time for the Request when the Close of a reselect is not answered", async () => {
    const captured = captureEvents();
    const gate = hold();
    const remaining: (number | undefined)[] = [];
    const silentClose: NetworkServiceElement = {
      name: "silent-close",
      close: (ctx, connection, next) => gate.close(ctx, connection, next),
      request: (ctx, r, next) => (remaining.push(ctx.remainingMs), next.request(ctx, r)),
    };
    const { request, ctx, clock } = run([updatePath({ name: "a" }), beginClient(), captured, silentClose]);
    await ctx.withTimeout(15_000, (c) => request({}, c));
    const event = captured.events.request({ cause: "heal", reselect: true });
    await clock.advance(5_000);
    await expect(event).resolves.toBe("done");
    expect(remaining).toEqual([15_000, 10_000]);
  });

  test("closes once when a reselect needs several tries", async () => {
    const captured = captureEvents();
    const seen = recorder();
    let refusals = 2;
    const refuse: NetworkServiceElement = {
      name: "refuse",
      request: async (ctx, request, next) => {
        if (request.connection!.state === State.RESELECT_REQUESTED && refusals-- > 0) {
          throw new NsmError(Code.Unavailable, "not yet");
        }
        return next.request(ctx, request);
      },
    };
    const { request } = run([updatePath({ name: "a" }), beginClient(), captured, seen, refuse]);
    await request({ networkServiceEndpointName: "old" });
    await expect(captured.events.request({ reselect: true })).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    await expect(captured.events.request({ reselect: true })).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    await expect(captured.events.request({ reselect: true })).resolves.toBe("done");
    expect(seen.closes).toHaveLength(1);
    expect(seen.requests.slice(1).map((r) => r.connection!.networkServiceEndpointName)).toEqual(["", "", ""]);
  });
});
