import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Payload, toTimestamp } from "../../../src/api/index.js";
import { Code, type Logger } from "../../../src/core/index.js";
import {
  sampleRequest,
  TOKEN_LIFETIME_MS,
  virtualClock,
  type VirtualClock,
} from "../../../src/testing/index.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeKernel } from "../support/fake-kernel.js";
import { crashingKernel } from "../support/crashing-kernel.js";
import { forwarder as realForwarder, ipContext } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, ID, forwarder } from "./kit.js";

describe("a forwarder after a restart", () => {
  let stateDir: string;
  beforeEach(() => void (stateDir = mkdtempSync(join(tmpdir(), "nsm-state-"))));
  afterEach(() => rmSync(stateDir, { recursive: true }));

  const logs = (): Logger & { lines: string[] } => {
    const lines: string[] = [];
    const append = (fields: object, message: string): void =>
      void lines.push(`${message} ${JSON.stringify(fields)}`);
    return { lines, debug() {}, info: append, warn: append, error: append };
  };

  /** A first forwarder that dies after it has established its connection. */
  async function afterCrash(kernel = new FakeKernel(CLIENT, ENDPOINT)) {
    const clock = virtualClock();
    const first = forwarder({ kernel, clock, stateDir });
    const connection = await first.sendRequest();
    first.program.abort();
    return { kernel, clock, connection };
  }

  test("adopts the vWire of a refreshed connection without changes", async () => {
    const { kernel, clock, connection } = await afterCrash();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    const { send, close, debugState, leftovers } = forwarder({ kernel, clock, stateDir });
    expect(debugState()).toEqual({ "cross-connect": { journal: 1, timers: 1 } });

    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.operations.slice(done).filter((it) => !/^(allowPing|enableIpv6)/.test(it))).toEqual([]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
    expect(debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 1 });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);

    await close();
    expect([kernel.show(CLIENT), readdirSync(stateDir), leftovers()]).toEqual([[], [], {}]);
  });

  test("adopts it without a journal too", async () => {
    const { kernel, clock, connection } = await afterCrash();
    const index = kernel.indexOf(CLIENT, "nsm-1");
    const { send } = forwarder({ kernel, clock });
    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("removes the routes of its predecessor that are no longer requested", async () => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT);
    const clock = virtualClock();
    const first = forwarder({ kernel, clock, stateDir });
    first.answer.ip = ipContext({ srcRoutes: [{ prefix: "10.9.0.0/16", nextHop: "" }] });
    const connection = await first.sendRequest();
    first.program.abort();
    const second = forwarder({ kernel, clock, stateDir });
    await second.send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.show(CLIENT)[0]!.routes).toEqual(["10.0.0.0/32 universe"]);
  });

  test("removes a vWire that is not requested again when it expires", async () => {
    const { kernel, clock } = await afterCrash();
    const { leftovers } = forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS - 1);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await clock.advance(1);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
    await expect.poll(leftovers).toEqual({});
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("removes a vWire that has expired before its start", async () => {
    const { kernel, clock } = await afterCrash();
    await clock.advance(TOKEN_LIFETIME_MS);
    forwarder({ kernel, clock, stateDir });
    await clock.advance(0);
    expect(kernel.show(CLIENT)).toEqual([]);
  });

  test("removes it by another path when the processes are gone but their namespaces exist", async () => {
    const { kernel, clock } = await afterCrash();
    kernel.move(CLIENT, "/run/netns/c");
    kernel.move(ENDPOINT, "/run/netns/e");
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect([kernel.show("/run/netns/c"), kernel.show("/run/netns/e")]).toEqual([[], []]);
  });

  test("leaves unknown vWires when it ends", async () => {
    const { kernel, clock } = await afterCrash();
    const { program } = forwarder({ kernel, clock, stateDir });
    program.abort();
    expect(clock.timers).toBe(0);
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test("removes vWires in the order of their expiry", async () => {
    const [kernel, clock] = [new FakeKernel(CLIENT, ENDPOINT), virtualClock()];
    const first = forwarder({ kernel, clock, stateDir });
    const [segment] = sampleRequest(clock.now()).connection!.path!.pathSegments;
    const expires = toTimestamp(clock.now() + 5_000);
    await first.sendRequest({ path: { index: 0, pathSegments: [{ ...segment!, expires }] } });
    first.program.abort();
    forwarder({ kernel, clock, stateDir });
    await clock.advance(4_999);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await clock.advance(1);
    expect(kernel.show(CLIENT)).toEqual([]);
  });

  test("keeps a vWire that expires while it is being adopted", async () => {
    const { kernel, clock, connection } = await afterCrash();
    const { send, answer, debugState } = forwarder({ kernel, clock, stateDir });
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.7/32"] });
    const release = kernel.holdNext("addAddress");
    const refreshed = send({ ...sampleRequest(clock.now()), connection });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.operations.at(-1)).toBe("addAddress 10.0.0.7/32");
    release();
    await refreshed;
    await clock.settle();
    expect(kernel.show(CLIENT)).toMatchObject([{ addresses: ["10.0.0.7/32"] }]);
    expect(debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 1 });
  });

  /**
   * Rewrites the only journal file to its content before the kernel calls: without the indexes of the
   * interfaces.
   */
  function forgetIndexes(): void {
    const file = join(stateDir, readdirSync(stateDir)[0]!);
    const record = JSON.parse(readFileSync(file, "utf8")) as { client: object; endpoint: object };
    const early = (end: object) => ({ ...end, index: undefined, routes: [], neighbors: [] });
    const { client, endpoint } = record;
    writeFileSync(file, JSON.stringify({ ...record, client: early(client), endpoint: early(endpoint) }));
  }

  test.each([
    ["whose interfaces it knows", () => {}],
    ["whose interfaces it does not know", forgetIndexes],
  ])("does not confuse another forwarder's new vWire with an old one %s", async (_what, spoil) => {
    const { kernel, clock } = await afterCrash();
    spoil();
    // The client healed through another forwarder, which replaced the vWire by its own.
    await kernel.open(CLIENT).deleteLink("nsm-1");
    await forwarder({ kernel, clock, name: "other" }).sendRequest();
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test.each([
    ["before either end had its alias", [CLIENT, ENDPOINT]],
    ["before the endpoint's end had its alias", [ENDPOINT]],
  ])("creates a vWire again that was left %s", async (_when, unfinished) => {
    const { kernel, clock, connection } = await afterCrash();
    for (const path of unfinished)
      kernel.change(path, path === CLIENT ? "nsm-1" : "fw-1", { alias: undefined });
    const { send, close, leftovers } = forwarder({ kernel, clock });
    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.show(CLIENT)).toMatchObject([
      { name: "nsm-1", alias: `server-${ID}`, addresses: ["10.0.0.1/32"] },
    ]);
    await close();
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });

  test("removes a vWire whose creation was not completed", async () => {
    const { kernel, clock } = await afterCrash();
    forgetIndexes();
    kernel.change(CLIENT, "nsm-1", { alias: undefined });
    kernel.change(ENDPOINT, "fw-1", { alias: undefined });
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
  });

  test("removes an adopted vWire that cannot be configured as requested", async () => {
    const { kernel, clock, connection } = await afterCrash();
    const { send, answer, downstream, leftovers } = forwarder({ kernel, clock, stateDir });
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.7/32"] });
    kernel.failNext("addAddress", Code.ResourceExhausted);
    await expect(send({ ...sampleRequest(clock.now()), connection })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    expect(downstream.calls).toEqual(["request", "close"]);
    expect([kernel.show(CLIENT), readdirSync(stateDir), leftovers()]).toEqual([[], [], {}]);
  });

  test.each([
    ["no JSON", () => "{ half a"],
    ["another version", (text: string) => text.replace('"version":1', '"version":2')],
    ["something missing", (text: string) => text.replace('"expires"', '"expired"')],
    ["another wire's", (text: string) => text.replaceAll("server-", "server-x")],
  ])("renames a journal file that contains %s, and continues", async (_what, spoil) => {
    const { kernel, clock } = await afterCrash();
    const [name] = readdirSync(stateDir);
    const file = join(stateDir, name!);
    const good = readFileSync(file, "utf8");
    writeFileSync(file, spoil(good));
    const logger = logs();
    const { leftovers, sendRequest, close } = forwarder({ kernel, clock, stateDir, logger });
    expect(readdirSync(stateDir)).toEqual([`${name}.unreadable`]);
    expect(logger.lines).toEqual([expect.stringContaining(`${name}.unreadable`)]);
    await sendRequest();
    await close();
    expect(leftovers()).toEqual({});
  });

  test("deletes files that its predecessor did not finish writing", () => {
    writeFileSync(join(stateDir, "abc.json.new"), "{ half a");
    forwarder({ stateDir });
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("leaves no incomplete file when it cannot record a vWire", async () => {
    const { sendRequest, close } = forwarder({ stateDir });
    await sendRequest();
    const [name] = readdirSync(stateDir);
    await close();
    // No file can be renamed onto a directory.
    mkdirSync(join(stateDir, name!));
    await expect(sendRequest()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(readdirSync(stateDir)).toEqual([name]);
  });

  test("rejects a state directory that is not a directory", () => {
    const file = join(stateDir, "file");
    writeFileSync(file, "");
    expect(() => forwarder({ stateDir: file })).toThrow(
      expect.objectContaining({ code: Code.FailedPrecondition, message: expect.stringContaining(file) }),
    );
  });

  test("creates no vWire that it cannot record", async () => {
    const gone = join(stateDir, "gone");
    const { sendRequest, kernel, downstream, leftovers } = forwarder({ stateDir: gone });
    rmSync(gone, { recursive: true });
    await expect(sendRequest()).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining(gone),
    });
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("keeps a vWire whose update it cannot record, and logs it", async () => {
    const gone = join(stateDir, "gone");
    const logger = logs();
    const { sendRequest, refresh, close, kernel, leftovers } = forwarder({ stateDir: gone, logger });
    await sendRequest();
    rmSync(gone, { recursive: true });
    await refresh();
    expect(logger.lines).toEqual([expect.stringContaining("could not record a vWire in the journal")]);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await close();
    expect(leftovers()).toEqual({});
  });

  /** Kills a forwarder after one, two, … changes of `work`, until `work` completes. */
  async function crashAtEachStep(
    work: (first: ReturnType<typeof realForwarder>) => Promise<unknown>,
    check: (after: { kernel: FakeKernel; clock: VirtualClock; stateDir: string }) => Promise<void>,
  ): Promise<number> {
    for (let steps = 0; ; steps++) {
      const [kernel, clock] = [new FakeKernel(CLIENT, ENDPOINT), virtualClock()];
      const directory = join(stateDir, `${steps}`);
      const crashing = crashingKernel(kernel, steps);
      const first = realForwarder({
        client: CLIENT,
        endpoint: ENDPOINT,
        clock,
        kernel: crashing.kernel,
        stateDir: directory,
      });
      first.answer.payload = Payload.Ip;
      const done = await Promise.race([work(first).then(() => true), crashing.crashed.then(() => false)]);
      first.program.abort();
      expect(kernel.opened).toBe(0);
      await check({ kernel, clock, stateDir: directory });
      if (done) return steps;
    }
  }
  const setUp = (first: ReturnType<typeof realForwarder>) => first.sendRequest();
  const setUpAndClose = (first: ReturnType<typeof realForwarder>) =>
    first.sendRequest().then(() => first.close());

  test.each([
    ["setting up", setUp, 10],
    ["setting up and closing", setUpAndClose, 11],
  ])("killed at any step of %s, leaves nothing once the connection expires", async (_what, work, least) => {
    const steps = await crashAtEachStep(work, async ({ kernel, clock, stateDir }) => {
      const { leftovers } = forwarder({ kernel, clock, stateDir });
      await clock.advance(TOKEN_LIFETIME_MS);
      await expect.poll(leftovers).toEqual({});
      expect([kernel.show(CLIENT), kernel.show(ENDPOINT), readdirSync(stateDir)]).toEqual([[], [], []]);
    });
    expect(steps).toBeGreaterThanOrEqual(least);
  });

  test.each([
    ["setting up", setUp],
    ["setting up and closing", setUpAndClose],
  ])("killed at any step of %s, has a successor that establishes the connection", async (_what, work) => {
    await crashAtEachStep(work, async ({ kernel, clock, stateDir }) => {
      // The killed process shares the clock, and its timers never end.
      const abandoned = clock.timers > 0 ? { timers: clock.timers } : {};
      for (const memory of [{ stateDir }, {}]) {
        const { sendRequest, answer, close, leftovers } = forwarder({ kernel, clock, ...memory });
        answer.payload = Payload.Ip;
        await sendRequest();
        expect(kernel.show(CLIENT)).toMatchObject([
          {
            name: "nsm-1",
            mtu: 9000,
            addresses: ["10.0.0.1/32"],
            routes: [expect.anything()],
            neighbors: [expect.anything()],
          },
        ]);
        expect(kernel.show(ENDPOINT)).toMatchObject([
          { name: "fw-1", mtu: 9000, addresses: ["10.0.0.0/32"] },
        ]);
        await close();
        expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], abandoned]);
      }
      expect(readdirSync(stateDir)).toEqual([]);
    });
  });
});
