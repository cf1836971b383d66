import { describe, expect, test } from "vitest";
import type { Connection, ConnectionEvent } from "../../../src/api/index.js";
import { Code, Context, peer } from "../../../src/core/index.js";
import type { MonitorOptions } from "../../../src/elements/monitor/index.js";
import { insecureTokens } from "../../../src/identity/index.js";
import { failAfter, sampleConnection } from "../../../src/testing/index.js";
import { INITIAL_STATE_TRANSFER, UPDATE, DELETE, monitored, watch } from "./kit.js";

describe("monitor and authorization", () => {
  const tokenOf = (subject: string): string => insecureTokens({ subject })(undefined).token;
  const as = (ctx: Context, spiffeId?: string): Context =>
    ctx.with(peer, { address: "", local: true, spiffeId });

  async function idsVisibleTo(
    spiffeId: string | undefined,
    options: Partial<MonitorOptions> = {},
  ): Promise<unknown> {
    const { request, service, ctx, close, clock } = monitored([], options);
    const callerCtx = as(ctx, spiffeId);
    const before = watch(service, { ctx: callerCtx });
    const { path } = sampleConnection(clock.now(), { id: "by-token" });
    const [segment] = path!.pathSegments;
    const connections = [
      await request({ id: "of-a" }, as(ctx, "spiffe://test/a")),
      await request({ id: "of-b" }, as(ctx, "spiffe://test/b")),
      await request({
        id: "by-token",
        path: { ...path!, pathSegments: [{ ...segment!, token: tokenOf("spiffe://test/a") }] },
      }),
      await request({ id: "of-nobody" }),
    ];
    const after = watch(service, { ctx: callerCtx });
    const names = ({ events }: { events: readonly ConnectionEvent[] }): string[] =>
      events.flatMap((event) =>
        Object.values(event.connections).map(({ path: p }) => p!.pathSegments[0]!.id),
      );
    const visible = names(after);
    expect(names(before)).toEqual(visible);
    for (const connection of connections) await close(connection);
    return visible;
  }

  test("a caller with an identity sees the connections that it requested, by certificate or token", async () => {
    expect(await idsVisibleTo("spiffe://test/a")).toEqual(["of-a", "by-token"]);
    expect(await idsVisibleTo("spiffe://test/b")).toEqual(["of-b"]);
    expect(await idsVisibleTo("spiffe://test/c")).toEqual([]);
  });

  test("a connection keeps its owner through all events", async () => {
    const { request, service, ctx, close, clock } = monitored([failAfter(1, Code.Internal)]);
    const watched = watch(service, { ctx: as(ctx, "spiffe://test/a") });
    const { path } = sampleConnection(clock.now());
    const pathSegments = [{ ...path!.pathSegments[0]!, token: tokenOf("spiffe://test/a") }];
    const sendRequest = (): Promise<Connection> =>
      request({ path: { ...path!, pathSegments } }, as(ctx, "spiffe://test/a"));
    await sendRequest();
    await expect(sendRequest()).rejects.toMatchObject({ code: Code.Internal });
    await close();
    expect(watched.events.map(({ type }) => type)).toEqual([INITIAL_STATE_TRANSFER, UPDATE, UPDATE, DELETE]);
    watched.stop();
  });

  test("a caller without identity sees all connections, and every caller does with showAll", async () => {
    const all = ["of-a", "of-b", "by-token", "of-nobody"];
    expect(await idsVisibleTo(undefined)).toEqual(all);
    expect(await idsVisibleTo("spiffe://test/c", { showAll: true })).toEqual(all);
  });
});
