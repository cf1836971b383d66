import { ConnectionContext, IPContext, Mechanism, type Connection } from "../../../src/api/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import {
  checkRules,
  firewall,
  type FirewallEvent,
  type FirewallOptions,
  type PacketFilter,
  type RuleSet,
} from "../../../src/elements/firewall/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { Code, NsmError, Slot, type NetworkServiceElement } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import type { Table } from "../../../src/linux/nftables/index.js";
import { describeElement, failAfter, failOnce, run, virtualClock } from "../../../src/testing/index.js";
import { NEVER, Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import { readMemory } from "../../../src/elements/firewall/table/memory.js";
import { decodeName, encodeName } from "../../../src/elements/firewall/table/encode-name.js";
import fc from "fast-check";

const rules = checkRules([{ name: "web", action: "allow", protocol: "tcp", ports: 80 }]);

/** A packet filter that records its tables, and fails on demand. */
function fakeFilter(inodeUrl = "file:///proc/7/ns/net") {
  const tables = new Map<string, Table>();
  const links = new Map<string, { up: boolean; alias: string | undefined }>();
  const fake = {
    tables,
    links,
    writes: 0,
    failure: undefined as NsmError | undefined,
    closed: 0,
    forgotten: [] as number[],
    hardened: [] as string[],
    isProtected: true,
  };
  const refuse = () => {
    if (fake.failure) throw fake.failure;
  };
  const filter: PacketFilter = {
    isOf: (url) => url === inodeUrl,
    link: async (name) => links.get(name),
    async replaceTable(table) {
      fake.writes++;
      refuse();
      tables.set(table.name, table);
      return { isProtected: fake.isProtected };
    },
    async deleteTable(name) {
      refuse();
      tables.delete(name);
    },
    counters: async (name) =>
      new Map(
        (tables.get(name)?.counters ?? []).map((counter, i) => [counter, { packets: i + 1, bytes: 100 }]),
      ),
    abandonedTables: async () => [],
    forgetConnections: async ({ mark }) => void fake.forgotten.push(mark / 0x1_0000),
    ignoreRouters: (name) => void fake.hardened.push(name),
    close: () => void fake.closed++,
  };
  return { ...fake, filter, fake };
}

/** An element that holds a resource for each connection. */
function holder() {
  let held = 0;
  const slot = new Slot<true>("holder", { release: () => void held-- });
  const element: NetworkServiceElement = {
    name: "holder",
    inside: ["connection-state"],
    provides: [slot],
    request(ctx, request, next) {
      held++;
      slot.set(ctx, true);
      return next.request(ctx, request);
    },
  };
  return { element, held: () => held };
}

/** The interfaces that a table filters. */
const wiresOf = (tables: ReadonlyMap<string, Table>): readonly string[] =>
  [...tables.values()].flatMap(({ counters = [] }) => readMemory(counters).links.map(({ name }) => name));

const kernel = (name: string, inodeURL = "file:///proc/7/ns/net"): Partial<Connection> => ({
  mechanism: Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { name, inodeURL } }),
});

describeElement("firewall", () => firewall({ name: "fw", rules, filter: fakeFilter().filter }), {
  request: (sample) => ({ ...sample, connection: { ...sample.connection!, ...kernel("fw-1") } }),
});

describe("firewall", () => {
  function endpoint(options: Partial<FirewallOptions> = {}, ...behind: Parameters<typeof run>[0][]) {
    const kernelSide = fakeFilter();
    const clock = virtualClock();
    const firewallElement = firewall({ name: "fw", rules, filter: kernelSide.filter, clock, ...options });
    const chain = run(
      [updatePath({ name: "nse" }), beginServer(), connectionState(), firewallElement, ...behind],
      {
        clock,
      },
    );
    return { ...kernelSide, ...chain, firewallElement };
  }

  test("filters the interface before it answers, and not after its Close", async () => {
    const { request, close, tables, leftovers } = endpoint();
    await request(kernel("fw-1"));
    expect(wiresOf(tables)).toEqual(["fw-1"]);
    await close();
    expect(wiresOf(tables)).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("writes the table once for concurrent connections, and not for a refresh", async () => {
    const { request, fake, tables } = endpoint();
    const names = ["a", "b", "c", "d"];
    await Promise.all(names.map((name) => request({ ...kernel(name), id: name })));
    expect(wiresOf(tables)).toEqual(names);
    expect(fake.writes).toBe(1);
    await request({ ...kernel("b"), id: "b" });
    expect(fake.writes).toBe(1);
  });

  test("follows an interface that is renamed by a refresh", async () => {
    const { request, tables, close, leftovers } = endpoint();
    await request(kernel("old"));
    const renamed = await request(kernel("new"));
    expect(wiresOf(tables)).toEqual(["new"]);
    await close(renamed);
    expect(leftovers()).toEqual({});
  });

  test("fails the Request and holds nothing when the kernel rejects the filter", async () => {
    const behind = holder();
    const { request, fake, tables, leftovers } = endpoint({}, [behind.element]);
    fake.failure = new NsmError(Code.PermissionDenied, "no privilege");
    await expect(request(kernel("fw-1"))).rejects.toBe(fake.failure);
    expect([behind.held(), leftovers()]).toEqual([0, {}]);
    fake.failure = undefined;
    await request({ ...kernel("fw-2"), id: "other" });
    expect(wiresOf(tables)).toEqual(["fw-2"]);
  });

  test("keeps a connection's filter when its refresh fails in a later element", async () => {
    const { request, tables } = endpoint({}, [failAfter(1, Code.Unavailable)]);
    await request(kernel("fw-1"));
    await expect(request(kernel("fw-1"))).rejects.toMatchObject({ code: Code.Unavailable });
    expect(wiresOf(tables)).toEqual(["fw-1"]);
  });

  test("does not change the kernel for a Request that fails in a later element", async () => {
    const { request, fake } = endpoint({}, [failOnce(Code.NotFound)]);
    await expect(request(kernel("fw-1"))).rejects.toMatchObject({ code: Code.NotFound });
    expect(fake.writes).toBe(0);
  });

  test("retries later when the kernel fails to remove an interface from the table", async () => {
    const { request, close, fake, tables, clock, leftovers } = endpoint();
    await request(kernel("fw-1"));
    fake.failure = new NsmError(Code.ResourceExhausted, "no memory");
    await close();
    expect(leftovers()).toEqual({ firewall: { orphans: 1 }, timers: 1 });
    fake.failure = undefined;
    await clock.advance(100);
    expect(wiresOf(tables)).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test.each<[string, Partial<Connection>, RegExp]>([
    ["another mechanism", { mechanism: Mechanism.create({ type: "MEMIF" }) }, /its mechanism is MEMIF/],
    ["no mechanism", {}, /its mechanism is not chosen yet/],
    ["no interface name", kernel(""), /names no interface/],
    ["another namespace", kernel("fw-1", "file:///proc/8/ns/net"), /is in file:\/\/\/proc\/8\/ns\/net/],
  ])("rejects %s, which it cannot filter", async (_what, connection, message) => {
    const behind = holder();
    const { request, fake, leftovers } = endpoint({}, [behind.element]);
    await expect(request(connection)).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringMatching(message),
    });
    expect([behind.held(), fake.writes, leftovers()]).toEqual([0, 0, {}]);
  });

  test("rejects an interface name that the kernel rejects", async () => {
    const { request, tables } = endpoint();
    await expect(request(kernel("much-too-long-a-name"))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(tables.size).toBe(0);
  });

  test("does not block an interface that no forwarder created, and takes over one that a forwarder created", async () => {
    const { request, links, tables, leftovers } = endpoint();
    links.set("eth0", { up: true, alias: undefined });
    links.set("fw-1", { up: true, alias: "client-1" });
    await expect(request(kernel("eth0"))).rejects.toMatchObject({ code: Code.AlreadyExists });
    expect(leftovers()).toEqual({});
    await request(kernel("fw-1"));
    expect(wiresOf(tables)).toEqual(["fw-1"]);
  });

  const from = (...client: readonly string[]): Partial<Connection> => ({
    ...kernel("fw-1"),
    context: ConnectionContext.create({ ipContext: IPContext.create({ srcIpAddrs: [...client] }) }),
  });
  const memory = (tables: ReadonlyMap<string, Table>) => readMemory([...tables.values()][0]!.counters!);

  test("accepts the client's current addresses", async () => {
    const { request, tables, close } = endpoint();
    await request(from("10.0.0.1/32", "fd00::1/128"));
    expect(memory(tables).links).toEqual([{ name: "fw-1", id: 1, sources: ["10.0.0.1", "fd00::1"] }]);
    await request(from("10.0.0.7/24"));
    expect(memory(tables).links).toEqual([{ name: "fw-1", id: 1, sources: ["10.0.0.7"] }]);
    await close();
  });

  test("deletes the flows of an interface in the kernel before and after it filters the interface", async () => {
    const { request, close, fake } = endpoint();
    await request(kernel("fw-1"));
    expect(fake.forgotten).toEqual([1]);
    await request({ ...kernel("fw-2"), id: "two" });
    expect(fake.forgotten).toEqual([1, 2]);
    await close();
    expect(fake.forgotten).toEqual([1, 2, 2]);
  });

  test("makes an interface ignore routers as soon as it exists", async () => {
    const { request, links, fake, clock } = endpoint();
    await request(kernel("fw-1"));
    await clock.advance(10_000);
    expect(fake.hardened).toEqual([]);
    links.set("fw-1", { up: true, alias: "client-1" });
    await clock.advance(5_000);
    expect([fake.hardened, clock.timers]).toEqual([["fw-1"], 0]);
  });

  test("continues with the numbers of the earlier process", async () => {
    const first = endpoint();
    first.links.set("fw-2", { up: true, alias: "client-2" });
    await first.request({ ...kernel("fw-1"), id: "one" });
    await first.request({ ...from("10.0.0.2/32"), ...kernel("fw-2"), id: "two" });
    const { generation } = memory(first.tables);

    const second = endpoint({ filter: first.filter });
    await second.firewallElement.prepare();
    expect(memory(first.tables)).toEqual({
      generation: generation + 1,
      links: [{ name: "fw-2", id: 2, sources: ["10.0.0.2"] }],
    });
    await second.request({ ...kernel("fw-3"), id: "three" });
    expect(memory(first.tables).links.map(({ name, id }) => [name, id])).toEqual([
      ["fw-2", 2],
      ["fw-3", 1],
    ]);
  });

  test("writes its table again when another program removed it and the kernel could not prevent this", async () => {
    const { request, close, fake, tables, clock, leftovers } = endpoint();
    fake.isProtected = false;
    await request(kernel("fw-1"));
    tables.clear();
    await clock.advance(10_000);
    expect(wiresOf(tables)).toEqual(["fw-1"]);
    await close();
    await clock.advance(10_000);
    expect([clock.timers, leftovers()]).toEqual([0, {}]);
  });

  test("keeps its table if an interface remains when it stops, and removes it otherwise", async () => {
    const { firewallElement, request, tables } = endpoint();
    await request(kernel("fw-1"));
    await firewallElement.stop(); // the forwarder may be about to create the interface
    expect(wiresOf(tables)).toEqual(["fw-1"]);

    const idle = endpoint();
    await idle.firewallElement.prepare();
    expect(idle.tables.size).toBe(1);
    await idle.firewallElement.stop();
    expect(idle.tables.size).toBe(0);
  });

  test("does not change the table of another process if the takeover failed", async () => {
    const first = endpoint();
    await first.firewallElement.prepare();
    const second = endpoint({ filter: first.filter });
    first.fake.failure = new NsmError(Code.AlreadyExists, "another process owns it");
    await expect(second.firewallElement.prepare()).rejects.toBe(first.fake.failure);
    first.fake.failure = undefined;
    await second.firewallElement.stop();
    expect(first.tables.size).toBe(1);
  });

  test("counts by rule", async () => {
    const { firewallElement, request } = endpoint();
    expect(await firewallElement.counters()).toEqual({
      rules: [{ name: "web", action: "allow", packets: 0, bytes: 0 }],
      established: { packets: 0, bytes: 0 },
      denied: { packets: 0, bytes: 0 },
      foreign: { packets: 0, bytes: 0 },
    });
    await request(kernel("fw-1"));
    expect(await firewallElement.counters()).toMatchObject({
      rules: [{ name: "web", action: "allow", packets: 1, bytes: 100 }],
      established: { packets: 2 },
      denied: { packets: 3 },
    });
  });

  test("keeps the rules in force when the kernel rejects new ones, and reports it", async () => {
    const changes = new Subject<RuleSet>();
    const events: FirewallEvent[] = [];
    let closes = 0;
    const source = { current: () => rules, changes, refusals: NEVER, close: () => void closes++ };
    const { firewallElement, request, fake, tables, clock } = endpoint({
      rules: source,
      onEvent: (event) => events.push(event),
    });
    await request(kernel("fw-1"));
    fake.failure = new NsmError(Code.Unimplemented, "no such thing in this kernel");
    changes.next(checkRules([{ name: "other", action: "deny" }]));
    await clock.settle();
    expect(events).toEqual([{ event: "rules-refused", error: "no such thing in this kernel" }]);
    expect((await firewallElement.counters()).rules.map(({ name }) => name)).toEqual(["web"]);

    fake.failure = undefined;
    await request({ ...kernel("fw-2"), id: "two" });
    expect([...tables.values()][0]!.counters).toContain("allow.web");
    changes.next(checkRules([{ name: "other", action: "deny" }]));
    await clock.settle();
    expect(events[1]).toEqual({ event: "rules", rules: 1 });
    expect([...tables.values()][0]!.counters).toContain("deny.other");

    await firewallElement.stop();
    expect([closes, fake.closed, changes.observed]).toEqual([1, 1, false]);
  });

  test("closes its namespace even if the table cannot be removed", async () => {
    const { firewallElement, request, close, fake } = endpoint();
    await request(kernel("fw-1"));
    await close();
    fake.failure = new NsmError(Code.PermissionDenied, "no privilege any more");
    await expect(firewallElement.stop()).rejects.toBe(fake.failure);
    expect(fake.closed).toBe(1);
  });

  test("rejects invalid rules in code", () => {
    expect(() => firewall({ name: "fw", rules: [{ name: "web", action: "allow", ports: 80 }] })).toThrow(
      /rule "web": ports: allowed only for protocol tcp, udp or sctp/,
    );
  });
});

describe("names in the kernel", () => {
  test("decode to the original text, for any text", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 15, unit: "grapheme" }), (text) => {
        const name = encodeName(text);
        fc.pre(name.length < 200);
        expect(name).toMatch(/^[\w/-]*$/);
        expect(decodeName(name)).toBe(text);
      }),
    );
  });

  test("of long texts are short and unique", () => {
    const [one, other] = ["a", "b"].map((end) => encodeName("ü".repeat(300) + end));
    expect(one).not.toBe(other);
    expect(one!.length).toBeLessThanOrEqual(200);
  });
});
