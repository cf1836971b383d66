import { describe, expect, test } from "vitest";
import {
  Code,
  connectionEvents,
  Context,
  logger,
  NsmError,
  silent,
  type ConnectionEvents,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginServer } from "../../src/elements/begin/index.js";
import { connectionLog, requestLog } from "../../src/elements/connection-log/index.js";
import { timeout } from "../../src/elements/timeout/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { describeElement, failOnce, run, virtualClock } from "../../src/testing/index.js";

describeElement("connection-log", () => connectionLog());
describeElement("connection-log/requests", () => requestLog());

const ID = "8c5d6c2e-6b0a-4a43-9a0d-3f0f4f5f0001";

/** A server that records its log at info level, and exposes the events of its connection. */
function server(...behind: NetworkServiceElement[]) {
  const lines: object[] = [];
  const info = (fields: object, message: string) => void lines.push({ message, ...fields });
  const clock = virtualClock();
  const ctx = Context.background({ clock }).with(logger, { ...silent, info });
  let events: ConnectionEvents | undefined;
  const capture: NetworkServiceElement = {
    name: "grab",
    request: (c, request, next) => {
      events = c.get(connectionEvents);
      return next.request(c, request);
    },
  };
  const firstElements = [requestLog(), updatePath({ name: "nse" }), beginServer(), connectionState()];
  const chain = run([...firstElements, connectionLog(), timeout(), capture, ...behind], { clock, ctx });
  return { ...chain, lines, events: () => events! };
}

/** Answers as the endpoint `current`. */
function endpointOf(current: { name: string }): NetworkServiceElement {
  return {
    name: "endpoint",
    request: async (ctx, request, next) => ({
      ...(await next.request(ctx, request)),
      networkServiceEndpointName: current.name,
    }),
  };
}

const fields = { connection: ID, service: "icmp", client: "client", endpoint: "nse-1" };

describe("the log of connections", () => {
  test("has one line when a connection is established, and one when it is closed", async () => {
    const { request, refresh, close, lines } = server(endpointOf({ name: "nse-1" }));
    await request();
    await refresh();
    await close();
    expect(lines).toEqual([
      { message: "connection established", ...fields, path: "client > nse", cause: "user" },
      { message: "connection closed", ...fields, cause: "user" },
    ]);
  });

  test("distinguishes a connection that expired from one that was closed", async () => {
    const { request, clock, lines, leftovers } = server();
    await request();
    await clock.advance(3_600_000);
    expect(lines.at(-1)).toMatchObject({ message: "connection closed", cause: "timeout" });
    expect(leftovers()).toEqual({});
  });

  test("logs that a connection was healed when its route changes or it was rebuilt", async () => {
    const current = { name: "nse-1" };
    const { request, refresh, lines, events } = server(endpointOf(current));
    await request();
    current.name = "nse-2";
    await refresh();
    await refresh();
    await events().request({ cause: "heal" });
    expect(lines.slice(1)).toMatchObject([
      { message: "connection healed", endpoint: "nse-2", cause: "user" },
      { message: "connection healed", endpoint: "nse-2", cause: "heal" },
    ]);
  });

  test("logs the caller, the call and the reason of a denial, once for repeated calls", async () => {
    const refused = new NsmError(Code.PermissionDenied, "not for you");
    let refuse = true;
    const guard: NetworkServiceElement = {
      name: "guard",
      request: (ctx, request, next) => (refuse ? Promise.reject(refused) : next.request(ctx, request)),
    };
    const { request, lines } = server(guard);
    await expect(request()).rejects.toBe(refused);
    await expect(request()).rejects.toBe(refused);
    const denied = { message: "request denied", connection: ID, service: "icmp", client: "client" };
    expect(lines).toEqual([{ ...denied, endpoint: "", code: "PermissionDenied", reason: "not for you" }]);
    refuse = false;
    await request();
    refuse = true;
    await expect(request()).rejects.toBe(refused);
    expect(lines.slice(1)).toMatchObject([{ message: "connection established" }, denied]);
  });

  test("does not log a call that its caller canceled", async () => {
    const { request, lines } = server(failOnce(Code.Cancelled));
    await expect(request()).rejects.toMatchObject({ code: Code.Cancelled });
    expect(lines).toEqual([]);
  });

  test("contains no token", async () => {
    const { request, close, lines } = server(failOnce(Code.Unavailable));
    await expect(request()).rejects.toThrow();
    await request();
    await close();
    expect(lines).toHaveLength(3);
    expect(JSON.stringify(lines)).not.toContain("token");
  });
});
