import { afterEach, beforeEach, expect, test } from "vitest";
import {
  connectService,
  type ConnectServiceOptions,
  type ServiceEvent,
  type ServiceFailed,
} from "../../../src/chains/client/index.js";
import {
  Code,
  explain,
  NsmError,
  silent,
  type DebugState,
  type Logger,
  type NetworkServiceElement,
} from "../../../src/core/index.js";
import { insecureIdentity } from "../../../src/identity/index.js";
import { mesh, type Mesh, type MeshEndpoint, type VirtualClock } from "../../../src/testing/index.js";

let net: Mesh;
let clock: VirtualClock;
let nse: MeshEndpoint;
/** Resources of the endpoint without a connection. */
let idle: DebugState;

beforeEach(async () => {
  net = await mesh({ transport: "memory" });
  clock = net.virtual!.clock;
  nse = await net.endpoint({ name: "nse-1", service: "firewall" });
  idle = nse.debugState();
});

afterEach(async () => {
  await net.stop();
  await clock.settle();
  expect(net.virtual!.network.debugState()).toMatchObject({ listeners: 0, calls: 0 });
  expect(clock.timers).toBe(0);
});

/** A connection of the mesh, and its events. */
function connect(options: Partial<ConnectServiceOptions> = {}) {
  const identity = insecureIdentity({ clock, subject: "spiffe://mesh/nsc" });
  const connected = connectService({
    name: "nsc",
    id: "nsc-0",
    service: "firewall",
    connectTo: net.nsmgr.url,
    identity,
    remotes: net.virtual!.network.remotes({ name: "nsc", tokens: identity.tokens }),
    clock,
    ...options,
  });
  const events: ServiceEvent[] = [];
  let complete = false;
  connected.events.subscribe({ next: (event) => events.push(event), complete: () => (complete = true) });
  return { connected, events, types: () => events.map(({ type }) => type), isComplete: () => complete };
}

/** Runs `work` in virtual time until it has settled. */
async function finished<R>(work: Promise<R>): Promise<R> {
  let settled = false;
  work.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let i = 0; i < 1_000 && !settled; i++) await clock.advance(50);
  return work;
}

test("establishes the connection, shows it and its path, and closes it on the wire", async () => {
  const { connected, types, isComplete } = connect();
  expect(connected.connection).toBeUndefined();
  expect(connected.path).toEqual([]);
  const connection = await finished(connected.established);
  expect(connected.connection).toMatchObject({ id: "nsc-0", context: connection.context });
  expect(connected.path.map(({ name }) => name)).toEqual(["nsc", "nsmgr", "forwarder", "nse-1"]);
  expect(connected.path.map(({ token }) => token)).toEqual(["", "", "", ""]);
  expect(types()).toEqual(["established"]);

  await finished(connected.close());
  await connected.closed;
  expect(types()).toEqual(["established", "closed"]);
  expect(isComplete()).toBe(true);
  expect(connected.connection).toBeUndefined();
  expect(connected.debugState()).toEqual({});
  expect(nse.debugState()).toEqual(idle);
});

test("refreshes for an hour without an event", async () => {
  const { connected, types } = connect();
  await finished(connected.established);
  await clock.advance(3_600_000);
  expect(types()).toEqual(["established"]);
  await finished(connected.close());
});

test("reports that it heals, and updated when it has healed", async () => {
  const { connected, events, types } = connect();
  await finished(connected.established);
  await net.endpoint({ name: "nse-2", service: "firewall" });
  await nse.kill();
  await clock.advance(60_000);
  expect(types()).toEqual(["established", "healing", "updated"]);
  expect(events[1]).toMatchObject({
    loss: "control plane",
    connection: { networkServiceEndpointName: "nse-1" },
  });
  expect(connected.connection).toMatchObject({ networkServiceEndpointName: "nse-2" });
  await finished(connected.close());
});

test.each([
  ["without options of heal", undefined],
  ["with options of heal that are undefined", { wake: undefined, liveness: undefined, budget: undefined }],
])("wakes a heal when an endpoint of the service is registered, %s", async (_, heal) => {
  const { connected, types } = connect({ heal });
  await finished(connected.established);
  await nse.kill();
  await clock.advance(120_000);
  expect(types()).not.toContain("updated");
  await net.endpoint({ name: "nse-2", service: "firewall" });
  await clock.advance(500);
  expect(types().at(-1)).toBe("updated");
  await finished(connected.close());
});

test("reports each reason for which healing does not succeed yet, once, until it has healed", async () => {
  const { connected, events, types } = connect();
  const connection = await finished(connected.established);
  await nse.kill();
  await clock.advance(120_000);
  expect(types()).toEqual(["established", "healing", "failed", "failed"]);
  expect(events.slice(2)).toMatchObject([
    { retrying: true, connection, error: { code: Code.Unavailable } },
    { retrying: true, connection, error: { code: Code.NotFound } },
  ]);
  expect(explain((events[3] as ServiceFailed).error)).toContain('no endpoint of network service "firewall"');
  expect(connected.connection).toMatchObject({ id: "nsc-0", context: connection.context });

  const second = await net.endpoint({ name: "nse-2", service: "firewall" });
  await clock.advance(500);
  expect(types().slice(4)).toEqual(["updated"]);

  await second.kill();
  await clock.advance(120_000);
  expect(types().slice(5)).toEqual(["healing", "failed", "failed"]);
  // The metrics by which hops follow each other's Requests are none of the caller's.
  expect(JSON.stringify(events)).not.toContain("nsm_request");
  await finished(connected.close());
});

test("reports that healing waits for a manager that does not answer", async () => {
  const { connected, events } = connect();
  await finished(connected.established);
  await net.nsmgr.kill();
  await clock.advance(3_600_000);
  expect(events.slice(1)).toMatchObject([
    { type: "healing" },
    { type: "failed", retrying: true, error: { code: Code.Unavailable } },
  ]);
  expect(explain((events[2] as ServiceFailed).error)).toContain(net.nsmgr.url);
  await expect(finished(connected.close())).rejects.toBeInstanceOf(NsmError);
});

test("with heal: false does not rebuild a lost connection", async () => {
  const { connected, types } = connect({ heal: false });
  await finished(connected.established);
  await nse.kill();
  await clock.advance(20_000);
  expect(types()).toEqual(["established"]);
  await finished(connected.close().catch(() => {}));
});

test("requests until the service exists, and reports a failure that repeats once", async () => {
  const { connected, events, types } = connect({ service: "late" });
  await clock.advance(30_000);
  expect(types()).toEqual(["failed"]);
  expect(events[0]).toMatchObject({
    retrying: true,
    error: { code: Code.NotFound },
    connection: { id: "nsc-0" },
  });
  await net.endpoint({ name: "nse-2", service: "late" });
  await finished(connected.established);
  expect(types()).toEqual(["failed", "established"]);
  await finished(connected.close());
});

test("ends on a permanent failure", async () => {
  const refuse: NetworkServiceElement = {
    name: "refuse",
    request: async () => {
      throw new NsmError(Code.PermissionDenied, "not you");
    },
  };
  const { connected, events, isComplete } = connect({ elements: [refuse] });
  await expect(finished(connected.established)).rejects.toMatchObject({ code: Code.PermissionDenied });
  await connected.closed;
  expect(events).toMatchObject([{ type: "failed", retrying: false, error: { message: "not you" } }]);
  expect(isComplete()).toBe(true);
  await connected.close();
});

test("close twice closes once", async () => {
  let closes = 0;
  const count: NetworkServiceElement = {
    name: "count",
    close: (ctx, connection, next) => (closes++, next.close(ctx, connection)),
  };
  const { connected, types } = connect({ elements: [count] });
  await finished(connected.established);
  const first = connected.close();
  expect(connected.close()).toBe(first);
  await finished(first);
  await connected.close();
  expect(closes).toBe(1);
  expect(types()).toEqual(["established", "closed"]);
});

test("close while it is being established cancels the Request and leaves nothing", async () => {
  const { connected, types, isComplete } = connect();
  const closing = connected.close();
  await expect(finished(connected.established)).rejects.toMatchObject({ code: Code.Cancelled });
  await finished(closing);
  expect(types()).toEqual([]);
  expect(isComplete()).toBe(true);
  expect(connected.debugState()).toEqual({});
  await clock.advance(60_000);
  expect(nse.debugState()).toEqual(idle);
});

test("a Close that fails rejects, is reported, and ends everything", async () => {
  const { connected, events, isComplete } = connect();
  await finished(connected.established);
  await net.nsmgr.kill();
  await expect(finished(connected.close())).rejects.toBeInstanceOf(NsmError);
  expect(events.at(-1)).toMatchObject({ type: "failed", retrying: false, connection: { id: "nsc-0" } });
  expect(isComplete()).toBe(true);
  expect(connected.debugState()).toEqual({});
});

test("a connection whose only endpoint was killed is closed at once, with a warning", async () => {
  const warnings: string[] = [];
  const logger: Logger = { ...silent, warn: (_fields, message) => void warnings.push(message) };
  const { connected, types } = connect({ logger });
  await finished(connected.established);
  await nse.kill();
  await clock.advance(1_000);
  const closing = connected.close();
  await clock.advance(0);
  await closing;
  expect(types()).toEqual(["established", "healing", "failed", "closed"]);
  expect(warnings).toEqual(["closed without the endpoint, which had been lost"]);
  expect(connected.debugState()).toEqual({});
  for (const hop of [net.nsmgr, net.forwarder]) expect(hop.debugState()).not.toHaveProperty("begin/server");
});

test("a Close is retried while no hop reports that the endpoint is lost", async () => {
  const { connected, types } = connect({ heal: false });
  await finished(connected.established);
  await nse.kill();
  const closing = connected.close().catch((error: unknown) => error);
  await clock.advance(4_000);
  expect(types()).toEqual(["established"]);
  await clock.advance(1_000);
  expect(await closing).toBeInstanceOf(NsmError);
  expect(types()).toEqual(["established", "failed"]);
});

test("ends without a Close when the program ends", async () => {
  const life = new AbortController();
  const { connected, types, isComplete } = connect({ until: life.signal });
  await finished(connected.established);
  life.abort();
  await connected.closed;
  expect(types()).toEqual(["established"]);
  expect(isComplete()).toBe(true);
  expect(nse.debugState()).not.toEqual(idle);
  await connected.close();
  await clock.advance(3_600_000);
  expect(nse.debugState()).toEqual(idle);
});

test("cancels a pending connection when the program ends", async () => {
  const life = new AbortController();
  const { connected, isComplete } = connect({ until: life.signal, service: "late" });
  await clock.advance(1_000);
  life.abort();
  await expect(finished(connected.established)).rejects.toMatchObject({});
  expect(isComplete()).toBe(true);
});

test("a late subscriber receives the last event first", async () => {
  const { connected } = connect();
  await finished(connected.established);
  const seen: string[] = [];
  connected.events.subscribe(({ type }) => seen.push(type));
  expect(seen).toEqual(["established"]);
  await finished(connected.close());
});
