import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ConnectionContext,
  ConnectionEventType,
  MonitorScopeSelector,
  PathSegment,
  pathOf,
  State,
  type Connection,
  type ConnectionEvent,
} from "../../../src/api/index.js";
import { chain, Context, debugState, type Elements, type NetworkService } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginClient, beginServer } from "../../../src/elements/begin/index.js";
import { clientUrl } from "../../../src/elements/client-url/index.js";
import { connectClient, connectServer } from "../../../src/elements/connect/index.js";
import { dial } from "../../../src/elements/dial/index.js";
import { connectionUpdate, monitor, type ConnectionChange } from "../../../src/elements/monitor/index.js";
import { timeout } from "../../../src/elements/timeout/index.js";
import { trimPathClient, trimPathServer } from "../../../src/elements/trim-path/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { updateToken } from "../../../src/elements/update-token/index.js";
import { insecureTokens } from "../../../src/identity/index.js";
import { memoryNetwork, type MemoryNetwork, type MemoryServer } from "../../../src/memory/index.js";
import { monitorHub } from "../../../src/elements/monitor/index.js";
import { sampleRequest, virtualClock, type VirtualClock } from "../../../src/testing/index.js";

const HOPS = 10;
const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;

interface Hop {
  readonly elements: Elements<NetworkService>;
  readonly server: MemoryServer;
  /** Publishes a change of the last connection, as an element of this hop. */
  update(change: ConnectionChange): void;
}

let clock: VirtualClock;
let network: MemoryNetwork;
let program: AbortController;
let hops: Hop[];
let ctx: Context;

const nameOf = (i: number): string => `hop-${i}`;
const urlOf = (i: number): string => `tcp://${nameOf(i)}:5000`;

/** A server that forwards to the next hop. The last one ends the connection. */
function hop(i: number): Hop {
  const name = nameOf(i);
  const remotes = network.remotes({ name });
  const hub = monitorHub({ scope: "segment", until: program.signal });
  const { element, service } = monitor({ hub, until: program.signal });
  let update: (change: ConnectionChange) => void = () => expect.fail("no connection yet");
  const client = [
    updatePath({ name }),
    beginClient(),
    connectionState(),
    clientUrl(urlOf(i + 1)),
    dial({ remotes }),
    trimPathClient(),
    connectClient(),
  ];
  const elements: Elements<NetworkService> = [
    updatePath({ name }),
    beginServer(),
    updateToken({ tokens: insecureTokens({ clock, subject: name }) }),
    connectionState(),
    timeout({ until: program.signal }),
    element,
    trimPathServer(),
    {
      name: "capturing",
      request(c, request, next) {
        update = c.get(connectionUpdate)!;
        return next.request(c, request);
      },
    },
    i < HOPS - 1 ? [connectServer(chain(client), { debugState: () => debugState(client) })] : [],
    { name: "hub", debugState: () => hub.debugState() },
  ];
  const server = network.listen(urlOf(i), { networkService: chain(elements), monitor: service }, { name });
  return { elements, server, update: (change) => update(change) };
}

beforeEach(() => {
  clock = virtualClock();
  network = memoryNetwork({ clock });
  program = new AbortController();
  ctx = Context.background({ clock });
  hops = Array.from({ length: HOPS }, (_, i) => hop(i));
});

afterEach(() => {
  program.abort();
  expect(network.debugState()).toMatchObject({ calls: 0 });
  expect(clock.timers).toBe(0);
});

/** A client that monitors its connection at the first hop. */
async function connected(): Promise<{
  connection: Connection;
  events: ConnectionEvent[];
  states: () => State[];
  networkService: NetworkService;
  stop(): void;
}> {
  const { networkService, monitor: monitoring } = network.remotes({ name: "client" }).to(urlOf(0));
  const connection = await networkService.request(ctx, sampleRequest(clock.now()));
  const [own] = connection.path!.pathSegments;
  const events: ConnectionEvent[] = [];
  const selector = MonitorScopeSelector.create({
    pathSegments: [PathSegment.create({ name: own!.name, id: own!.id })],
  });
  const subscription = monitoring.monitorConnections(ctx, selector).subscribe((event) => events.push(event));
  await clock.settle();
  return {
    connection,
    events,
    states: () =>
      events.slice(1).flatMap(({ connections }) => Object.values(connections).map(({ state }) => state)),
    networkService,
    stop: () => subscription.unsubscribe(),
  };
}

const held = (): unknown => hops.map(({ elements }) => debugState(elements));
const nothing = (): unknown => hops.map(() => ({}));

describe(`monitors of ${HOPS} hops in a row`, () => {
  test("show the client its answer, including metrics", async () => {
    const { connection, events, networkService, stop } = await connected();
    const { id } = pathOf(connection).pathSegments[1]!;
    expect(pathOf(connection).pathSegments).toHaveLength(HOPS + 1);
    expect(events).toEqual([
      {
        type: INITIAL_STATE_TRANSFER,
        connections: { [id]: { ...connection, id, path: { ...connection.path, index: 1 } } },
        _unknownFields: {},
      },
    ]);
    await networkService.close(ctx, connection);
    await clock.settle();
    stop();
    await clock.settle();
    expect(held()).toEqual(nothing());
  });

  test("publish only the update during a refresh", async () => {
    const { connection, events, networkService, states, stop } = await connected();
    await networkService.request(ctx, { ...sampleRequest(clock.now()), connection });
    await clock.settle();
    expect(states()).toEqual([State.UP]);
    await networkService.close(ctx, connection);
    await clock.settle();
    expect(events.map(({ type }) => type)).toEqual([INITIAL_STATE_TRANSFER, UPDATE, DELETE]);
    stop();
    await clock.settle();
    expect(held()).toEqual(nothing());
  });

  test("forward events of the last hop to the client", async () => {
    const { connection, events, states, networkService, stop } = await connected();
    const context = ConnectionContext.create({ MTU: 1_400 });
    hops.at(-1)!.update({ context, state: State.REFRESH_REQUESTED });
    await clock.settle();
    expect(states()).toEqual([State.REFRESH_REQUESTED]);
    expect(Object.values(events[1]!.connections)[0]).toMatchObject({
      context: { MTU: 1_400 },
      path: { index: 1 },
    });
    await networkService.close(ctx, connection);
    stop();
    await clock.settle();
    expect(held()).toEqual(nothing());
  });

  test.each([
    ["is gone", () => hops.at(-1)!.server.close()],
    ["cannot be reached", () => void network.faults.cut({ to: urlOf(HOPS - 1) })],
    ["in the middle is gone", () => hops[5]!.server.close()],
  ])("notify the client when a hop at the end %s", async (_, strike) => {
    const { connection, events, states, networkService, stop } = await connected();
    strike();
    await clock.settle();
    expect(states()).toEqual([State.DOWN]);
    expect(events[1]!.type).toBe(UPDATE);
    await expect(networkService.close(ctx, connection)).rejects.toThrow();
    stop();
    await clock.settle();
    expect(debugState(hops[0]!.elements)).toEqual({});
  });

  test("notify the client when the connection is closed at its end", async () => {
    const { connection, states, networkService, stop } = await connected();
    const { networkService: last } = network.remotes({ name: nameOf(HOPS - 2) }).to(urlOf(HOPS - 1));
    const { index, pathSegments } = { index: HOPS - 1, pathSegments: pathOf(connection).pathSegments };
    await last.close(ctx, { ...connection, id: pathSegments[index]!.id, path: { index, pathSegments } });
    await clock.settle();
    expect(states()).toEqual([State.DOWN]);
    await networkService.close(ctx, connection);
    stop();
    await clock.settle();
    expect(held()).toEqual(nothing());
  });

  test("report no loss when a stream breaks while both ends are up", async () => {
    const { connection, states, networkService, stop } = await connected();
    network.faults.cut({ to: urlOf(5), times: 1 });
    await clock.settle();
    expect(states()).toEqual([]);
    expect(debugState(hops[4]!.elements)).toMatchObject({ hub: { streams: 1, following: 1 } });
    await networkService.close(ctx, connection);
    stop();
    await clock.settle();
    expect(held()).toEqual(nothing());
  });

  test("share one stream between two hops for any number of connections", async () => {
    const { networkService } = network.remotes({ name: "client" }).to(urlOf(0));
    const connections = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        networkService.request(ctx, sampleRequest(clock.now(), { id: `id-${i}` })),
      ),
    );
    await clock.settle();
    expect(debugState(hops[3]!.elements)).toMatchObject({
      hub: { peers: 1, streams: 1, following: 50 },
      monitor: { connections: 50, subscribers: 1, relays: 50 },
    });
    await Promise.all(connections.map((connection) => networkService.close(ctx, connection)));
    await clock.settle();
    expect(held()).toEqual(nothing());
  });
});

test("show the established connections after any sequence of calls and faults, and hold nothing at the end", async () => {
  const fault = fc.constantFrom("cut", "drop", "cancel", "delay");
  const step = fc.record({
    what: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom("request", "close", "wait") },
      { weight: 2, arbitrary: fault },
    ),
    id: fc.integer({ min: 0, max: 3 }),
    hop: fc.integer({ min: 0, max: HOPS - 1 }),
    ms: fc.integer({ min: 0, max: 300 }),
  });
  const { networkService, monitor: monitoring } = network.remotes({ name: "client" }).to(urlOf(0));
  const known = new Map<number, Connection>();

  const sendRequest = (id: number): Promise<void> =>
    ctx.withTimeout(1_000, async (c) => {
      const fresh = sampleRequest(clock.now(), { id: `id-${id}` });
      const request = { ...fresh, connection: known.get(id) ?? fresh.connection };
      known.set(id, await networkService.request(c, request));
    });
  const close = (id: number): Promise<void> =>
    ctx.withTimeout(1_000, async (c) => {
      const connection = known.get(id);
      known.delete(id);
      if (connection) await networkService.close(c, connection);
    });
  const strike = (what: string, to: string, ms: number): void => {
    if (what === "cut") network.faults.cut({ to, times: 1 });
    if (what === "drop") network.faults.dropResponses({ to, times: 1 });
    if (what === "cancel") network.faults.cancelCalls({ to, times: 1 });
    if (what === "delay") network.faults.delay({ to, ms, times: 4 });
  };

  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const calls: Promise<unknown>[] = [];
      for (const { what, id, hop: struck, ms } of steps) {
        if (what === "request") calls.push(sendRequest(id).catch(() => {}));
        else if (what === "close") calls.push(close(id).catch(() => {}));
        else strike(what, urlOf(struck), ms);
        await clock.advance(ms);
      }
      network.faults.clear();
      await clock.advance(2_000);
      await Promise.all(calls);

      for (const id of known.keys()) await sendRequest(id);
      await clock.advance(1_000);
      const shown = new Map<string, State>();
      const subscription = monitoring
        .monitorConnections(ctx, MonitorScopeSelector.create())
        .subscribe(({ connections }) => {
          for (const { path, state } of Object.values(connections))
            shown.set(path!.pathSegments[0]!.id, state);
        });
      await clock.settle();
      subscription.unsubscribe();
      for (const id of known.keys()) expect(shown.get(`id-${id}`)).toBe(State.UP);

      for (const id of [...known.keys()]) await close(id);
      // Connections of lost answers end with their tokens.
      await clock.advance(600_000);
      expect(held()).toEqual(nothing());
    }),
    { seed: 7, numRuns: 40 },
  );
});
