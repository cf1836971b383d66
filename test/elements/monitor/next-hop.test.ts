import { Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import {
  ConnectionContext,
  IPContext,
  PathSegment,
  pathOf,
  State,
  type Connection,
} from "../../../src/api/index.js";
import { Code, Context, type Remote, type NetworkServiceElement } from "../../../src/core/index.js";
import { nextRemote } from "../../../src/elements/dial/index.js";
import { type MonitorHub, type OwnSegment, type Observation } from "../../../src/elements/monitor/index.js";
import { downCauseOf, requestMark, withDownReason } from "../../../src/elements/monitor/marks.js";
import { failAfter } from "../../../src/testing/index.js";
import { INITIAL_STATE_TRANSFER, type Monitored, monitored, bySegment, watch } from "./kit.js";

describe("monitor and the next hop", () => {
  const mtu = (MTU: number): ConnectionContext =>
    ConnectionContext.create({ MTU, ipContext: IPContext.create() });

  /** A hub whose events the test controls. */
  function fakeHub(): MonitorHub & {
    followed: { remote: Remote; segment: OwnSegment; observations: Subject<Observation> }[];
    following: number;
    emit(s: Observation): void;
  } {
    const hub = {
      followed: [] as { remote: Remote; segment: OwnSegment; observations: Subject<Observation> }[],
      follow(_ctx: Context, remote: Remote, segment: OwnSegment) {
        const observations = new Subject<Observation>();
        hub.followed.push({ remote, segment, observations });
        return observations;
      },
      emit: (observation: Observation) => hub.followed.at(-1)!.observations.next(observation),
      get following() {
        return hub.followed.filter(({ observations }) => observations.observed).length;
      },
      debugState: () => ({}),
    };
    return hub;
  }

  /** The next hop that dial and connect would set. */
  function nextHop(): NetworkServiceElement & { remote: Remote; context: ConnectionContext } {
    const hop = {
      name: "next-hop",
      remote: { url: "tcp://next:1" } as Remote,
      context: mtu(1_500),
      async request(ctx, r, next) {
        const response = await next.request(ctx, r);
        nextRemote.set(ctx, hop.remote);
        const { index, pathSegments } = pathOf(response);
        const segments = [
          ...pathSegments.slice(0, index + 1),
          PathSegment.create({ name: "next", id: "next" }),
        ];
        return { ...response, context: hop.context, path: { ...response.path!, pathSegments: segments } };
      },
    } as NetworkServiceElement & { remote: Remote; context: ConnectionContext };
    return hop;
  }

  /** The connection as the next hop has it. */
  const peerConnection = (own: Connection, patch: Partial<Connection> = {}): Connection => ({
    ...own,
    id: "next",
    labels: { peerConnection: "yes" },
    path: { ...own.path!, index: 2 },
    ...patch,
  });

  function relaying(...behind: NetworkServiceElement[]): Monitored & {
    hub: ReturnType<typeof fakeHub>;
    hop: ReturnType<typeof nextHop>;
    seen: () => Connection[];
  } {
    const hub = fakeHub();
    const hop = nextHop();
    const chain = monitored([...behind, hop], { hub });
    const watched = watch(chain.service, { selector: bySegment({ name: "hop" }) });
    const seen = (): Connection[] =>
      watched.events.slice(1).flatMap(({ connections }) => Object.values(connections));
    return { ...chain, hub, hop, seen };
  }

  test("is followed by the own segment from the first answer to the Close", async () => {
    const { request, close, hub, hop, debugState } = relaying();
    const connection = await request();
    const { id } = connection.path!.pathSegments[1]!;
    expect(hub.followed).toMatchObject([{ remote: hop.remote, segment: { index: 1, name: "hop", id } }]);
    expect(debugState()).toMatchObject({ monitor: { relays: 1 } });
    await close();
    expect(hub.following).toBe(0);
    expect(debugState()).toEqual({ monitor: { subscribers: 1, keys: 1 } });
  });

  test("is forwarded with path, context and state, from the view of this hop", async () => {
    const { request, close, hub, seen } = relaying();
    await request();
    const own = seen()[0]!;
    hub.emit({ connection: peerConnection(own, { context: mtu(1_400) }), state: State.REFRESH_REQUESTED });
    expect(seen()[1]).toEqual({ ...own, context: mtu(1_400), state: State.REFRESH_REQUESTED });
    hub.emit({ connection: peerConnection(own), state: State.DOWN });
    expect(seen()[2]).toEqual({ ...own, state: State.DOWN });
    hub.emit({ connection: undefined, state: State.DOWN });
    hub.emit({ connection: peerConnection(own), state: State.DOWN });
    expect(seen()).toHaveLength(3);
    await close();
    expect(seen()).toHaveLength(4);
  });

  test("cannot change other connections of earlier hops", async () => {
    const { request, close, hub, seen, service } = relaying();
    await request();
    const own = seen()[0]!;
    const foreign = watch(service, { selector: bySegment({ id: "foreign" }) });
    const [first, , next] = own.path!.pathSegments;
    const forged = ["foreign", "foreign"].map((id) => PathSegment.create({ name: first!.name, id }));
    const path = { ...own.path!, index: 2, pathSegments: [...forged, next!] };
    hub.emit({ connection: peerConnection(own, { path }), state: State.DOWN });
    expect(seen()[1]).toEqual({ ...own, state: State.DOWN });
    expect(foreign.summary).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    foreign.stop();
    await close();
  });

  test("is not forwarded without changes", async () => {
    const { request, close, hub, seen } = relaying();
    await request();
    hub.emit({ connection: peerConnection(seen()[0]!), state: State.UP });
    expect(seen()).toHaveLength(1);
    await close();
  });

  test("is found by its name as long as the connection uses it", async () => {
    const { request, close, hub, service, seen } = relaying();
    await request();
    const [, ours] = seen()[0]!.path!.pathSegments;
    const selector = bySegment({ name: "next" });
    const before = watch(service, { selector });
    expect(Object.keys(before.events[0]!.connections)).toEqual([ours!.id]);
    const moved = peerConnection(seen()[0]!);
    const elsewhere = moved.path!.pathSegments.with(2, PathSegment.create({ name: "other", id: "other" }));
    hub.emit({ connection: { ...moved, path: { index: 2, pathSegments: elsewhere } }, state: State.UP });
    const after = watch(service, { selector });
    expect(after.summary).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    expect(
      Object.keys(watch(service, { selector: bySegment({ name: "other" }) }).events[0]!.connections),
    ).toEqual([ours!.id]);
    await close();
  });

  test("is followed by one subscription across all refreshes", async () => {
    const { request, refresh, close, hub } = relaying();
    await request();
    await refresh();
    await refresh();
    expect(hub.followed).toHaveLength(1);
    await close();
  });

  test("publishes an event during a refresh that applies after it", async () => {
    const duringRequest: ((own: Connection) => void)[] = [];
    const { request, refresh, close, hub, seen } = relaying({
      name: "meanwhile",
      async request(ctx, r, next) {
        duringRequest.shift()?.(r.connection!);
        return next.request(ctx, r);
      },
    });
    await request();
    duringRequest.push((own) => {
      hub.emit({ connection: peerConnection(own), state: State.DOWN });
      hub.emit({ connection: peerConnection(own), state: State.UP });
    });
    await refresh();
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP]);
    // An event may arrive before the answer.
    duringRequest.push((own) => hub.emit({ connection: peerConnection(own), state: State.DOWN }));
    await refresh();
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP, State.UP, State.DOWN]);
    await close();
  });

  test("is ignored if its event is about the earlier connection", async () => {
    const { request, refresh, close, hub, seen } = relaying();
    await request();
    const before = peerConnection(seen()[0]!);
    const mark = requestMark(before.path!.pathSegments[1]);
    await refresh();
    hub.emit({ connection: before, state: State.DOWN, mark });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP]);
    const now = peerConnection(seen()[1]!);
    hub.emit({ connection: now, state: State.DOWN, mark: requestMark(now.path!.pathSegments[1]) });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP, State.DOWN]);
    await close();
  });

  test("is forwarded with the reason of the loss, in the segment of the hop that detected it", async () => {
    const { request, refresh, close, hub, seen } = relaying();
    await request();
    const cause = { reason: "unreachable", hop: "hop", index: 1 } as const;
    hub.emit({ connection: undefined, state: State.DOWN, cause, lost: true });
    expect(downCauseOf(seen().at(-1)!)).toEqual(cause);
    await refresh();
    expect(downCauseOf(seen().at(-1)!)).toBeUndefined();
    const withReason = withDownReason(peerConnection(seen()[0]!), "closed");
    hub.emit({ connection: withReason, state: State.DOWN, cause: downCauseOf(withReason) });
    expect(downCauseOf(seen().at(-1)!)).toEqual({ reason: "closed", hop: "next", index: 2 });
    await close();
  });

  test("is followed again after a loss, and when the route of the connection changes", async () => {
    const { request, refresh, close, hub, hop } = relaying();
    await request();
    hub.emit({ connection: undefined, state: State.DOWN, lost: true });
    await refresh();
    expect(hub.followed).toHaveLength(2);
    hop.remote = { url: "tcp://other:1" } as Remote;
    await refresh();
    expect(hub.followed.map(({ remote }) => remote.url)).toEqual([
      "tcp://next:1",
      "tcp://next:1",
      "tcp://other:1",
    ]);
    expect(hub.following).toBe(1);
    await close();
    expect(hub.following).toBe(0);
  });

  test("is still followed when a refresh fails", async () => {
    const { request, close, hub, seen } = relaying(failAfter(1, Code.Unavailable));
    await request();
    await expect(request()).rejects.toThrow();
    expect(hub.following).toBe(1);
    hub.emit({ connection: peerConnection(seen()[0]!), state: State.UP });
    expect(seen().map(({ state }) => state)).toEqual([State.UP]);
    hub.emit({ connection: peerConnection(seen()[0]!), state: State.DOWN });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.DOWN]);
    await close();
  });

  test("is not followed at the last hop, or after the end of the program", async () => {
    const hub = fakeHub();
    const ending = monitored([], { hub });
    await ending.request();
    expect(hub.followed).toEqual([]);
    await ending.close();

    const program = new AbortController();
    const { request, debugState } = monitored([nextHop()], { hub, until: program.signal });
    await request({ id: "one" });
    expect(hub.following).toBe(1);
    program.abort();
    expect(hub.following).toBe(0);
    await request({ id: "two" });
    expect(hub.followed).toHaveLength(1);
    expect(debugState()).toMatchObject({ monitor: { connections: 2 } });
  });
});
