import { concat, NEVER, of, Subject } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  MonitorScopeSelector,
  NetworkServiceRequest,
  State,
} from "../../src/api/index.js";
import { Code, codeOf, Context, peer, type Remote, type Peer } from "../../src/core/index.js";
import { memoryNetwork, type MemoryNetwork, type MemoryServer } from "../../src/memory/index.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
const URL_A = "tcp://a:1";
const URL_B = "tcp://b:1";

describe("a network in memory", () => {
  let clock: VirtualClock;
  let network: MemoryNetwork;
  let servers: MemoryServer[];
  let handled: string[];
  let signals: AbortSignal[];
  let source: Subject<ConnectionEvent>;
  let ctx: Context;
  /** What holds the server's work up. */
  let gate: Promise<void>;

  beforeEach(() => {
    clock = virtualClock();
    network = memoryNetwork({ clock });
    handled = [];
    signals = [];
    source = new Subject();
    gate = Promise.resolve();
    ctx = Context.background({ clock });
    servers = [URL_A, URL_B].map((url) =>
      network.listen(url, {
        networkService: {
          request: async (c, { connection }) => {
            signals.push(c.signal);
            await gate;
            handled.push(url);
            return connection!;
          },
          close: async () => {},
        },
        monitor: { monitorConnections: () => concat(of(update("first")), source) },
      }),
    );
  });
  afterEach(async () => {
    network.faults.clear();
    servers.forEach((server) => server.close());
    await clock.settle();
    expect(network.debugState()).toEqual({ listeners: 0, calls: 0, faults: 0 });
    expect(clock.timers).toBe(0);
    expect(source.observed).toBe(false);
  });

  const remote = (url = URL_A, name = "nsc"): Remote => network.remotes({ name }).to(url);
  const outcome = (call: Promise<unknown>): Promise<unknown> => call.then(() => "OK", codeOf);
  const sendRequest = (url?: string, name?: string): Promise<unknown> =>
    outcome(remote(url, name).networkService.request(ctx, request));

  test("a dropped response leaves the work done and the caller with UNAVAILABLE", async () => {
    network.faults.dropResponses({ times: 1 });
    expect(await sendRequest()).toBe(Code.Unavailable);
    expect(handled).toEqual([URL_A]);
    expect(await sendRequest()).toBe("OK");
  });

  test("a fault strikes only the calls that match its filter", async () => {
    network.faults.dropResponses({ to: URL_A, from: "nsc", method: "Request" });
    expect(await sendRequest(URL_A, "nsc")).toBe(Code.Unavailable);
    expect(await sendRequest(URL_B, "nsc")).toBe("OK");
    expect(await sendRequest(URL_A, "other")).toBe("OK");
    expect(await outcome(remote().networkService.close(ctx, request.connection!))).toBe("OK");
  });

  test("a fault can be removed, and all of them at once", async () => {
    const undo = network.faults.dropResponses();
    network.faults.cut({ to: URL_B });
    undo();
    expect(await sendRequest(URL_A)).toBe("OK");
    network.faults.clear();
    expect(await sendRequest(URL_B)).toBe("OK");
  });

  test("a fault with a chance follows the random numbers", async () => {
    const numbers = [0.1, 0.9, 0.1];
    const randomNetwork = memoryNetwork({ clock, random: () => numbers.shift()! });
    const server = randomNetwork.listen(URL_A, {
      networkService: { request: async (_c, { connection }) => connection!, close: async () => {} },
    });
    randomNetwork.faults.dropResponses({ chance: 0.5 });
    const { networkService } = randomNetwork.remotes({ name: "nsc" }).to(URL_A);
    const outcomes: unknown[] = [];
    for (let i = 0; i < 3; i++) outcomes.push(await outcome(networkService.request(ctx, request)));
    expect(outcomes).toEqual([Code.Unavailable, "OK", Code.Unavailable]);
    server.close();
  });

  test("a canceled call is CANCELLED on both sides, while the server works", async () => {
    gate = new Promise(() => {});
    network.faults.cancelCalls({ times: 1 });
    expect(await sendRequest()).toBe(Code.Cancelled);
    expect(signals[0]?.aborted).toBe(true);
    expect(codeOf(signals[0]?.reason)).toBe(Code.Cancelled);
  });

  test("a cut breaks calls in progress on both sides, and rejects new ones until it is removed", async () => {
    gate = new Promise(() => {});
    const call = sendRequest();
    const received: unknown[] = [];
    remote()
      .monitor.monitorConnections(ctx, MonitorScopeSelector.create())
      .subscribe({ next: () => received.push("event"), error: (error) => received.push(codeOf(error)) });
    await clock.settle();
    expect(received).toEqual(["event"]);

    const restore = network.faults.cut({ to: URL_A });
    expect(await call).toBe(Code.Unavailable);
    expect(received).toEqual(["event", Code.Unavailable]);
    expect(signals[0]?.aborted).toBe(true);
    expect(source.observed).toBe(false);

    gate = Promise.resolve();
    expect(await sendRequest()).toBe(Code.Unavailable);
    expect(await sendRequest(URL_B)).toBe("OK");
    restore();
    expect(await sendRequest()).toBe("OK");
  });

  test("a dying server breaks its calls and streams, not those of others", async () => {
    gate = new Promise(() => {});
    const calls = [sendRequest(URL_A), sendRequest(URL_B)];
    await clock.settle();
    servers[0]!.close();
    expect(await calls[0]).toBe(Code.Unavailable);
    expect(await Promise.race([calls[1], clock.settle()])).toBeUndefined();
    expect(await sendRequest(URL_A)).toBe(Code.Unavailable);
  });

  test("an address is free again when its server died, and taken before", async () => {
    const listen = (): MemoryServer => network.listen(URL_A, {});
    expect(listen).toThrow(
      expect.objectContaining({ code: Code.AlreadyExists, message: `${URL_A} is already in use` }),
    );
    servers[0]!.close();
    servers.push(listen());
    servers[0]!.close();
    expect(await sendRequest(URL_A)).toBe(Code.Unimplemented);
  });

  test("a dying caller cancels its calls at the servers, and only its own", async () => {
    gate = new Promise(() => {});
    const closing = network.remotes({ name: "nsc" });
    const call = outcome(closing.to(URL_A).networkService.request(ctx, request));
    const other = sendRequest(URL_A, "other");
    await clock.settle();
    closing.close();
    expect(await call).toBe(Code.Cancelled);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    servers[0]!.close();
    await other;
  });

  test("delayed messages take their time, there and back", async () => {
    network.faults.delay({ ms: 100 });
    let done = false;
    const call = sendRequest().then(() => (done = true));
    await clock.advance(99);
    expect(handled).toEqual([]);
    await clock.advance(1);
    expect(handled).toEqual([URL_A]);
    await clock.advance(99);
    expect(done).toBe(false);
    await clock.advance(1);
    await call;
  });

  test("a delay of one direction leaves the other alone", async () => {
    network.faults.delay({ ms: 100, direction: "back" });
    const call = sendRequest();
    await clock.settle();
    expect(handled).toEqual([URL_A]);
    await clock.advance(100);
    expect(await call).toBe("OK");
  });

  test("a call whose way takes longer than its time ends at its deadline, and what it left behind is dropped", async () => {
    network.faults.delay({ ms: 100, direction: "there" });
    const call = outcome(ctx.withTimeout(50, (c) => remote().networkService.request(c, request)));
    await clock.advance(50);
    expect(await call).toBe(Code.DeadlineExceeded);
    expect(clock.timers).toBe(0);
    await clock.advance(100);
    expect(handled).toEqual([]);
  });

  test("the server has as much time as is left when the call arrives", async () => {
    let remaining: number | undefined;
    servers.push(
      network.listen("tcp://c:1", {
        networkService: {
          request: async (c, { connection }) => {
            remaining = c.remainingMs;
            return connection!;
          },
          close: async () => {},
        },
      }),
    );
    network.faults.delay({ ms: 40, direction: "there" });
    const call = ctx.withTimeout(100, (c) => remote("tcp://c:1").networkService.request(c, request));
    await clock.advance(40);
    await call;
    expect(remaining).toBe(60);
  });

  test("messages of a stream never overtake each other, and a slow reader gets the latest", async () => {
    let random = 0.99;
    const jitterNetwork = memoryNetwork({ clock, random: () => (random = 0.99 - random) });
    const server = jitterNetwork.listen(URL_A, { monitor: { monitorConnections: () => source } });
    jitterNetwork.faults.delay({ ms: 10, jitterMs: 100, direction: "back" });
    const received: string[] = [];
    const subscription = jitterNetwork
      .remotes({ name: "nsc" })
      .to(URL_A)
      .monitor.monitorConnections(ctx, MonitorScopeSelector.create())
      .subscribe(({ connections }) =>
        received.push(...Object.values(connections).map(({ labels }) => labels["n"]!)),
      );
    await clock.settle();
    for (let n = 0; n < 10; n++) source.next(update(String(n)));
    await clock.advance(1_000);
    expect(received).toEqual(["0", "9"]);
    subscription.unsubscribe();
    server.close();
    await clock.settle();
  });

  test("both sides see who the other claims to be", async () => {
    let caller: Peer | undefined;
    servers.push(
      network.listen(
        "tcp://c:1",
        {
          networkService: {
            request: async (c, { connection }) => {
              caller = c.get(peer);
              return connection!;
            },
            close: async () => {},
          },
        },
        { spiffeId: "spiffe://example.org/c" },
      ),
    );
    let seenPeer: Peer | undefined;
    const remotes = network.remotes({
      name: "nsc",
      spiffeId: "spiffe://example.org/nsc",
      tokens: (to) => {
        seenPeer = to;
        return { token: "a.b.c", expires: { seconds: 1, nanos: 0 } };
      },
    });
    await remotes.to("tcp://c:1").networkService.request(ctx, request);
    expect(seenPeer).toMatchObject({ address: "tcp://c:1", spiffeId: "spiffe://example.org/c" });
    expect(caller).toMatchObject({
      address: "nsc",
      spiffeId: "spiffe://example.org/nsc",
      token: { token: "a.b.c", expires: { seconds: 1 } },
    });
  });

  test("nothing happens within the call that causes it", async () => {
    const events: string[] = [];
    const { networkService, monitor } = remote();
    const call = networkService.request(ctx, request);
    const subscription = monitor
      .monitorConnections(ctx, MonitorScopeSelector.create())
      .subscribe(() => events.push("told"));
    expect(handled).toEqual([]);
    expect(events).toEqual([]);
    await call;
    await clock.settle();
    events.length = 0;
    source.next(update("second"));
    expect(events).toEqual([]);
    await clock.settle();
    expect(events).toEqual(["told"]);
    subscription.unsubscribe();
  });

  test("messages are copies: what one side does to its own does not show on the other", async () => {
    const labels = { app: "web" };
    let received: Connection | undefined;
    servers.push(
      network.listen("tcp://c:1", {
        networkService: {
          request: async (_c, { connection }) => (received = connection!),
          close: async () => {},
        },
      }),
    );
    const sent = NetworkServiceRequest.create({ connection: { id: "c1", labels } });
    const answer = await remote("tcp://c:1").networkService.request(ctx, sent);
    labels.app = "changed";
    expect(received?.labels).toEqual({ app: "web" });
    expect(answer).toEqual(received);
    expect(answer).not.toBe(received);
  });

  test("a stream stays open until one side ends it", async () => {
    const open = network.listen("tcp://c:1", { monitor: { monitorConnections: () => NEVER } });
    servers.push(open);
    let ended = false;
    const subscription = remote("tcp://c:1")
      .monitor.monitorConnections(ctx, MonitorScopeSelector.create())
      .subscribe({ error: () => (ended = true), complete: () => (ended = true) });
    await clock.advance(3_600_000);
    expect(ended).toBe(false);
    expect(network.debugState()).toMatchObject({ calls: 1 });
    subscription.unsubscribe();
  });
});

function update(n: string): ConnectionEvent {
  const connection = Connection.create({ id: "c1", state: State.UP, labels: { n } });
  return ConnectionEvent.create({ type: ConnectionEventType.UPDATE, connections: { c1: connection } });
}
