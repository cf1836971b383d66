import { describe, expect, test } from "vitest";
import { NetworkServiceLabels, type NetworkServiceEndpoint } from "../../../src/api/index.js";
import {
  Code,
  Context,
  ContextKey,
  NsmError,
  Slot,
  type ChainElement,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { registrationPath } from "../../../src/wire/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { expire } from "../../../src/registry/elements/expire/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  checkContext,
  describeRegistryElement,
  failAfter,
  hold,
  recorder,
  runRegistry,
  sampleEndpoint,
  virtualClock,
} from "../../../src/testing/index.js";
import { failSwitch, changing, captureEvents } from "../support.js";

describeRegistryElement("begin", () => begin(), { before: [] });

const colour = new ContextKey<string>("colour");

describe("begin", () => {
  test("runs the calls of one name one at a time, and those of other names in parallel", async () => {
    const gate = hold();
    const seen = recorder();
    const { register, unregister, clock, leftovers } = runRegistry([begin(), seen, gate]);
    const calls = [register({ name: "one" }), register({ name: "one" }), register({ name: "two" })];
    await clock.settle();
    expect(seen.args<NetworkServiceEndpoint>("register").map(({ name }) => name)).toEqual(["one", "two"]);
    gate.release();
    await Promise.all(calls);
    expect(seen.calls).toEqual(["register", "register", "register"]);
    await unregister(sampleEndpoint(0, { name: "one" }));
    await unregister(sampleEndpoint(0, { name: "two" }));
    expect(leftovers()).toEqual({});
  });

  test("keeps a thousand calls over twenty names separate and in the order of arrival", async () => {
    const inside = new Set<string>();
    const order = new Map<string, number[]>();
    const once: ChainElement<EndpointRegistry> = {
      name: "once",
      async register(_ctx, endpoint) {
        expect(inside.has(endpoint.name), `${endpoint.name} is inside twice`).toBe(false);
        inside.add(endpoint.name);
        for (let turn = Math.floor(Math.random() * 5); turn >= 0; turn--) await Promise.resolve();
        inside.delete(endpoint.name);
        const calls = order.get(endpoint.name) ?? [];
        order.set(endpoint.name, [...calls, Number(endpoint.url)]);
        return endpoint;
      },
      async unregister(_ctx, endpoint) {
        expect(inside.has(endpoint.name), `${endpoint.name} is inside twice`).toBe(false);
        await Promise.resolve();
      },
    };
    // The begin of a client chain inside the begin of a server chain.
    const { register, unregister, leftovers } = runRegistry([begin(), begin(), once]);
    await Promise.all(
      Array.from({ length: 1000 }, (_, i) =>
        i % 3 === 2
          ? unregister(sampleEndpoint(0, { name: `nse-${i % 20}`, url: "" }))
          : register({ name: `nse-${i % 20}`, url: String(i) }),
      ),
    );
    for (const calls of order.values()) expect(calls).toEqual([...calls].sort((a, b) => a - b));
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => unregister(sampleEndpoint(0, { name: `nse-${i}`, url: "" }))),
    );
    expect(leftovers()).toEqual({});
  });

  test("rejects an empty name", async () => {
    const seen = recorder();
    const { register, unregister, leftovers } = runRegistry([begin(), seen]);
    await expect(register({ name: "" })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(unregister(sampleEndpoint(0, { name: "" }))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(seen.calls).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("unregisters the remembered entry, including the changes of later elements", async () => {
    const labels = { icmp: NetworkServiceLabels.create({ labels: { added: "yes" } }) };
    const seen = recorder();
    const add = changing({ request: (endpoint) => ({ ...endpoint, networkServiceLabels: labels }) });
    const { register, unregister } = runRegistry([begin(), add, seen]);
    await register();
    await unregister(sampleEndpoint(0));
    expect(seen.args<NetworkServiceEndpoint>("unregister")[0]!.networkServiceLabels).toEqual(labels);
  });

  test("forwards an Unregister of an unknown name unchanged", async () => {
    const seen = recorder();
    const { unregister, leftovers } = runRegistry([begin(), seen]);
    const unknown = sampleEndpoint(0, { name: "stranger" });
    await unregister(unknown);
    expect(seen.args("unregister")).toEqual([unknown]);
    expect(leftovers()).toEqual({});
  });

  test("repeats a Register with the caller's name, without its lifetime", async () => {
    const seen = recorder();
    const captured = captureEvents();
    const movedByRegistry = changing({
      answer: (endpoint) => ({ ...endpoint, name: "other", url: "tcp://b:1" }),
    });
    const { register, unregister, leftovers } = runRegistry([begin(), captured, seen, movedByRegistry]);
    await register({ name: "mine" });
    expect(await captured.events.register()).toBe("done");
    expect(seen.args("register")[1]).toMatchObject({
      name: "mine",
      url: "tcp://b:1",
      expirationTime: undefined,
    });
    await unregister(sampleEndpoint(0, { name: "mine" }));
    expect(leftovers()).toEqual({});
  });

  test("forgets the registration after an Unregister event, even if it fails", async () => {
    const captured = captureEvents();
    const broken = failSwitch();
    const { register, leftovers } = runRegistry([begin(), captured, broken]);
    await register();
    broken.on = true;
    await expect(captured.events.unregister()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(await captured.events.register()).toBe("skipped");
    expect(leftovers()).toEqual({});
  });

  test("skips an event whose signal has aborted when its turn comes", async () => {
    const gate = hold();
    gate.release();
    const captured = captureEvents();
    const seen = recorder();
    const { register, unregister, clock } = runRegistry([begin(), captured, seen, gate]);
    await register();
    gate.hold();
    const refresh = register();
    const unwanted = new AbortController();
    const event = captured.events.register({ signal: unwanted.signal });
    await clock.settle();
    unwanted.abort();
    gate.release();
    await refresh;
    expect(await event).toBe("skipped");
    expect(seen.calls).toEqual(["register", "register"]);
    await unregister();
  });

  test("skips events of a registration that another one has replaced", async () => {
    const captured = captureEvents();
    const { register, unregister } = runRegistry([begin(), captured]);
    await register();
    const firstEvents = captured.events;
    await unregister();
    await register();
    expect(await firstEvents.unregister()).toBe("skipped");
    expect(await captured.events.register()).toBe("done");
    await unregister();
    expect(await captured.events.register()).toBe("skipped");
  });

  test("keeps the new registration when a Register follows an Unregister event", async () => {
    const gate = hold();
    gate.release();
    const captured = captureEvents();
    const seen = recorder();
    const { register, unregister, clock, leftovers } = runRegistry([begin(), captured, seen, gate]);
    await register();
    gate.hold();
    const event = captured.events.unregister();
    const again = register();
    await clock.settle();
    gate.release();
    expect(await event).toBe("done");
    await again;
    expect(seen.calls).toEqual(["register", "unregister", "register"]);
    expect(await captured.events.register()).toBe("done");
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("gives events the values of the last successful Register", async () => {
    const colours: (string | undefined)[] = [];
    const captured = captureEvents();
    const broken = failSwitch();
    const recordValue = checkContext((ctx) => void colours.push(ctx.get(colour)));
    const { register, unregister, ctx } = runRegistry([begin(), captured, recordValue, broken]);
    await register({}, ctx.with(colour, "red"));
    broken.on = true;
    await expect(register({}, ctx.with(colour, "green"))).rejects.toThrow();
    broken.on = false;
    await captured.events.register();
    await register({}, ctx.with(colour, "blue"));
    await captured.events.register();
    expect(colours).toEqual(["red", "green", "red", "blue", "blue"]);
    await unregister();
  });

  test("gives events the time limit of the Register, starting again for each", async () => {
    const remaining: (number | undefined)[] = [];
    const captured = captureEvents();
    const recordValue = checkContext((ctx) => void remaining.push(ctx.remainingMs));
    const { register, ctx, clock, leftovers } = runRegistry([begin(), captured, recordValue]);
    await ctx.withTimeout(3_000, (c) => register({}, c));
    await clock.advance(60_000);
    await captured.events.register();
    await clock.advance(60_000);
    await captured.events.unregister();
    expect(remaining).toEqual([3_000, 3_000, 3_000]);
    expect(leftovers()).toEqual({});
  });

  test("gives each event its own path, at the index of this hop", async () => {
    const captured = captureEvents();
    const holders: unknown[] = [];
    const onward: ChainElement<EndpointRegistry> = {
      name: "onward",
      async register(ctx, endpoint) {
        const holder = ctx.get(registrationPath)!;
        holders.push(holder, holder.current);
        holder.current = { index: 7, segments: [...holder.current.segments, { token: "further" }] };
        return endpoint;
      },
    };
    const { register, unregister, ctx } = runRegistry([begin(), captured, onward]);
    const own = { current: { index: 1, segments: [{ token: "a" }, { token: "b" }] } };
    await register({}, ctx.with(registrationPath, own));
    await captured.events.register();
    expect(holders[2]).not.toBe(own);
    expect(holders[3]).toEqual({
      index: 1,
      segments: [{ token: "a" }, { token: "b" }, { token: "further" }],
    });
    await unregister();
  });

  test("aborts a Register event for an Unregister from outside, and prevents new ones", async () => {
    const gate = hold();
    gate.release();
    const captured = captureEvents();
    const seen = recorder();
    const { register, unregister, clock, leftovers } = runRegistry([begin(), captured, seen, gate]);
    await register();
    gate.hold();
    const running = captured.events.register().catch((error: unknown) => error);
    const queued = captured.events.register().catch((error: unknown) => error);
    await clock.settle();
    const leaving = unregister();
    await clock.settle();
    expect(await running).toMatchObject({ code: Code.Cancelled });
    expect(await queued).toMatchObject({ code: Code.Cancelled });
    gate.release();
    await leaving;
    expect(seen.calls).toEqual(["register", "register", "unregister"]);
    expect(leftovers()).toEqual({});
  });

  test("keeps the registration when a refresh fails", async () => {
    const captured = captureEvents();
    const seen = recorder();
    const { register, unregister } = runRegistry([
      begin(),
      captured,
      seen,
      failAfter(1, Code.Unavailable, "register"),
    ]);
    await register({ url: "tcp://first:1" });
    await expect(register({ url: "tcp://second:1" })).rejects.toMatchObject({ code: Code.Unavailable });
    await unregister(sampleEndpoint(0, { url: "tcp://second:1" }));
    expect(seen.args<NetworkServiceEndpoint>("unregister")[0]!.url).toBe("tcp://first:1");
  });

  test("ignores an Unregister with the URL from before the endpoint moved", async () => {
    const seen = recorder();
    const { register, unregister, leftovers } = runRegistry([begin(), seen]);
    await register({ url: "tcp://first:1" });
    await register({ url: "tcp://second:1" });
    await unregister(sampleEndpoint(0, { url: "tcp://first:1" }));
    expect(seen.args("unregister")).toEqual([]);
    await unregister(sampleEndpoint(0, { url: "tcp://second:1" }));
    expect(seen.args("unregister")).toHaveLength(1);
    expect(leftovers()).toEqual({});
  });

  test("accepts the requested URL and the answered URL for the same registration", async () => {
    const seen = recorder();
    const moved = changing({ answer: (endpoint) => ({ ...endpoint, url: "tcp://seen-from-afar:1" }) });
    const { register, unregister } = runRegistry([begin(), seen, moved]);
    for (const url of ["tcp://near:1", "tcp://seen-from-afar:1", ""]) {
      await register({ url: "tcp://near:1" });
      await unregister(sampleEndpoint(0, { url }));
    }
    expect(seen.args("unregister")).toHaveLength(3);
  });

  test("does not abort an event for an Unregister of another registration", async () => {
    const captured = captureEvents();
    const gate = hold();
    const seen = recorder();
    const { register, unregister, clock } = runRegistry([begin(), captured, seen, gate]);
    gate.release();
    await register({ url: "tcp://second:1" });
    gate.hold();
    const renewal = captured.events.register();
    const lateUnregister = unregister(sampleEndpoint(0, { url: "tcp://first:1" }));
    await clock.settle();
    gate.release();
    expect(await renewal).toBe("done");
    await lateUnregister;
    expect(seen.args("unregister")).toEqual([]);
    await unregister();
  });

  test("does not start a call whose caller canceled while it waited", async () => {
    const gate = hold();
    const seen = recorder();
    const { register, unregister, ctx, clock, leftovers } = runRegistry([begin(), seen, gate]);
    const first = register();
    const caller = new AbortController();
    const second = ctx.withSignal(caller.signal, (c) => register({}, c)).catch((error: unknown) => error);
    await clock.settle();
    caller.abort(new Error("gone"));
    gate.release();
    await first;
    expect(await second).toMatchObject({ message: "gone" });
    expect(seen.calls).toEqual(["register"]);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("aborts running events and starts none once the program has ended", async () => {
    const program = new AbortController();
    const gate = hold();
    gate.release();
    const captured = captureEvents();
    const clock = virtualClock();
    const { register } = runRegistry([begin({ until: program.signal }), captured, gate], {
      clock,
      ctx: Context.background({ clock }),
    });
    await register();
    gate.hold();
    const running = captured.events.register().catch((error: unknown) => error);
    await clock.settle();
    program.abort(new Error("over"));
    expect(await running).toMatchObject({ message: "over" });
    expect(await captured.events.register()).toBe("skipped");
    expect(clock.timers).toBe(0);
  });

  test.each(["register", "unregister"] as const)(
    "releases the values in registration-state when an earlier element rejects the %s",
    async (method) => {
      const refusing: ChainElement<EndpointRegistry> = {
        name: "refusing",
        async register(ctx, endpoint, next) {
          const answer = await next.register(ctx, endpoint);
          if (method === "register") throw new NsmError(Code.PermissionDenied, "not this one");
          return answer;
        },
        async unregister(ctx, endpoint, next) {
          if (method === "unregister") throw new NsmError(Code.PermissionDenied, "not this one");
          await next.unregister(ctx, endpoint);
        },
      };
      const held = new Set<string>();
      const holding = new Slot<string>("holding", { release: (name) => void held.delete(name) });
      const { register, unregister, find, leftovers } = runRegistry([
        begin(),
        refusing,
        registrationState(),
        {
          name: "holding",
          provides: [holding],
          register(ctx, endpoint, next) {
            if (held.add(endpoint.name)) holding.set(ctx, endpoint.name);
            return next.register(ctx, endpoint);
          },
        },
        expire(),
        ...(method === "register" ? [memoryEndpoints()] : []),
      ]);
      const denied = expect.objectContaining({ code: Code.PermissionDenied });
      if (method === "register") await expect(register()).rejects.toEqual(denied);
      else await expect(register().then((entry) => unregister(entry))).rejects.toEqual(denied);
      expect([...held]).toEqual([]);
      expect(await find()).toEqual([]);
      expect(leftovers()).toEqual({});
    },
  );
});
