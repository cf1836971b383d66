import { closeSync } from "node:fs";
import { lastValueFrom, of, Subject, toArray } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  NetworkServiceEndpoint,
  toTimestamp,
  type NetworkServiceEndpointResponse,
} from "../../../src/api/index.js";
import {
  Code,
  Context,
  debugState,
  endpointRegistryChain,
  logger,
  NsmError,
  peer,
  silent,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type Peer,
} from "../../../src/core/index.js";
import { inodeUrlOf } from "../../../src/linux/index.js";
import { attachments, serverPeer } from "../../../src/outbound/index.js";
import { localBypass } from "../../../src/registry/elements/local-bypass/index.js";
import { recvFdClient, recvFdServer } from "../../../src/registry/elements/recv-fd/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistryElement,
  recorder,
  runRegistry,
  virtualClock,
  type Recorder,
  type RegistryRun,
  type VirtualClock,
} from "../../../src/testing/index.js";
import { descriptorCount, descriptorsDownTo, OpenFiles } from "../../linux/descriptor-kit.js";
import { answerAt, connected, Sockets, type Ends } from "../socket-kit.js";
import { failSwitch, listen } from "../support.js";

const OWN = /^unix:\/\/\/proc\/self\/fd\/\d+$/;
const urlsOf = (found: readonly NetworkServiceEndpointResponse[]): string[] =>
  found.map(({ networkServiceEndpoint }) => networkServiceEndpoint!.url);

let sockets: Sockets;
let before: number;
let ends: Ends;
let program: AbortController;

beforeEach(() => {
  before = descriptorCount();
  sockets = new Sockets();
  ends = connected();
  program = new AbortController();
});
afterEach(async () => {
  program.abort();
  ends.close();
  await sockets.remove();
  await descriptorsDownTo(before);
});

/** Sends the socket behind a path over the connection, and returns its inode URL. */
function send(from: Peer, url: string): string {
  const fd = sockets.open(url);
  from.connection!.attachments!.send(fd);
  const named = inodeUrlOf(fd);
  closeSync(fd);
  return named;
}

let contractUrl: string;
beforeEach(async () => {
  contractUrl = send(ends.server, await sockets.listen("contract"));
});
const contract = {
  ctx: (ctx: Context) => ctx.with(peer, ends.caller),
  entry: {
    get url() {
      return contractUrl;
    },
  },
};
describeRegistryElement("recv-fd/server", ({ until }) => recvFdServer({ until }), contract);
describeRegistryElement("recv-fd/client", ({ until }) => recvFdClient({ until }));

describe("recv-fd/server", () => {
  let clock: VirtualClock;
  let seen: Recorder;
  let broken: ReturnType<typeof failSwitch>;
  let run: RegistryRun;
  let chain: EndpointRegistry;

  const find = (caller: Peer): Promise<string[]> => {
    const ctx = Context.background({ clock }).with(peer, caller);
    const query = { networkServiceEndpoint: NetworkServiceEndpoint.create(), watch: false };
    return lastValueFrom(chain.find(ctx, query).pipe(toArray())).then(urlsOf);
  };
  const registered = (): string => seen.args<NetworkServiceEndpoint>("register").at(-1)!.url;

  beforeEach(() => {
    clock = virtualClock();
    seen = recorder();
    broken = failSwitch();
    const ctx = Context.background({ clock }).with(peer, ends.caller);
    const elements: Elements<EndpointRegistry> = [
      registrationState(),
      recvFdServer({ until: program.signal }),
      seen,
      broken,
      memoryEndpoints(),
    ];
    run = runRegistry(elements, { clock, ctx });
    chain = endpointRegistryChain(elements);
  });

  test("shows later elements a URL that reaches the socket, and the caller its own", async () => {
    const url = send(ends.server, await sockets.listen("nse"));
    expect((await run.register({ url })).url).toBe(url);
    expect(registered()).toMatch(OWN);
    expect(await answerAt(registered())).toBe("nse");
    await run.unregister();
    expect(seen.args<NetworkServiceEndpoint>("unregister")[0]!.url).toBe(registered());
    expect(run.leftovers()).toEqual({});
  });

  test("keeps the URL while the socket is the same, without another descriptor", async () => {
    const url = send(ends.server, await sockets.listen("nse"));
    await run.register({ url });
    const first = registered();
    ends.close();
    await run.register({ url });
    expect(registered()).toBe(first);
    await run.unregister();
  });

  test("has the URL again if the socket comes back, and another one for another endpoint meanwhile", async () => {
    const [one, two] = [await sockets.listen("one"), await sockets.listen("two")];
    const url = send(ends.server, one);
    await run.register({ url });
    const first = registered();
    await run.unregister();
    await run.register({ name: "other", url: send(ends.server, two) });
    expect(registered()).not.toBe(first);
    expect(await answerAt(registered())).toBe("two");
    await run.register({ url });
    expect(registered()).toBe(first);
    await run.unregister();
    await run.unregister({ ...NetworkServiceEndpoint.create(), name: "other" });
  });

  test("closes the old socket when the endpoint comes back with another one", async () => {
    await run.register({ url: send(ends.server, await sockets.listen("one")) });
    const first = registered();
    await run.register({ url: send(ends.server, await sockets.listen("two")) });
    expect(await answerAt(registered())).toBe("two");
    await expect(answerAt(first)).rejects.toMatchObject({ code: "ENOENT" });
    expect(run.debugState()).toMatchObject({ "recv-fd/server": { sockets: 1 } });
    await run.register({ url: "tcp://127.0.0.1:5001" });
    expect(run.debugState()).not.toHaveProperty("recv-fd/server");
    await run.unregister();
  });

  test("keeps the old socket when the Register with another one fails", async () => {
    await run.register({ url: send(ends.server, await sockets.listen("one")) });
    const first = registered();
    broken.on = true;
    await expect(run.register({ url: send(ends.server, await sockets.listen("two")) })).rejects.toThrow();
    broken.on = false;
    expect(await answerAt(first)).toBe("one");
    expect(run.debugState()).toMatchObject({ "recv-fd/server": { sockets: 1 } });
    await run.unregister();
  });

  test("waits for a descriptor that arrives after the call, but no longer than 5 s", async () => {
    const socket = await sockets.listen("nse");
    const url = sockets.inodeUrl(socket);
    const call = run.register({ url });
    await clock.advance(4_000);
    send(ends.server, socket);
    expect((await call).url).toBe(url);
    await run.unregister();

    const other = sockets.inodeUrl(await sockets.listen("other"));
    const missing = run.register({ name: "nse-1", url: other });
    missing.catch(() => {});
    await clock.advance(5_000);
    await expect(missing).rejects.toMatchObject({
      code: Code.Unavailable,
      message: `the socket ${other} of endpoint nse-1 did not arrive in time`,
    });
    expect(run.leftovers()).toEqual({});
  });

  test("reports what is missing if the connection carries no descriptors", async () => {
    const url = sockets.inodeUrl(await sockets.listen("nse"));
    const connection = { id: 1, kind: "tcp", address: "10.0.0.2:1", local: false } as const;
    const overTcp = run.ctx.with(peer, { address: "10.0.0.2:1", local: false, connection });
    await expect(run.register({ name: "nse-1", url }, overTcp)).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining(`endpoint nse-1 has the URL ${url}, but the connection (tcp)`),
    });
  });

  test("accepts sockets only", async () => {
    const files = new OpenFiles();
    const fd = files.add("file");
    ends.server.connection!.attachments!.send(fd);
    await expect(run.register({ name: "nse-1", url: inodeUrlOf(fd) })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: `${inodeUrlOf(fd)} of endpoint nse-1 is not a socket`,
    });
    files.remove();
    expect(run.leftovers()).toEqual({});
  });

  test.each([
    "unix:///proc/self/fd/7",
    "unix:/proc/self/../self/fd/7",
    "unix:///proc/1/fd/7",
    "unix:///proc/thread-self/fd/7",
    "unix:///run/../proc/self/./fd//7",
    "unix:///proc/self/root/run/nse.sock",
    `unix:${"../".repeat(30)}proc/self/fd/7`,
    "unix:///dev/fd/7",
    "unix:///dev/stdin",
  ])("rejects %s, under which it would reach a file of its own", async (url) => {
    await expect(run.register({ url })).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(seen.calls).toEqual([]);
  });

  test("passes the socket on to who finds the endpoint over a unix socket", async () => {
    const socket = await sockets.listen("nse");
    const url = send(ends.server, socket);
    await run.register({ url });
    const finder = connected();
    expect(await find(finder.caller)).toEqual([url]);
    const fd = await finder.server.connection!.attachments!.receive(url, run.ctx.signal);
    expect(inodeUrlOf(fd)).toBe(url);
    closeSync(fd);
    finder.close();
    await run.unregister();
  });

  test("shows a URL that works on this machine to other local callers, and nothing to remote ones", async () => {
    await run.register({ url: send(ends.server, await sockets.listen("nse")) });
    const [local] = await find({ address: "127.0.0.1:1", local: true });
    expect(await answerAt(local!)).toBe("nse");
    expect(await find({ address: "10.0.0.2:1", local: false })).toEqual([]);
    await run.unregister();
  });

  test("shows endpoints with a path or on TCP unchanged", async () => {
    for (const url of ["unix:///run/nse.sock", "tcp://10.0.0.1:5001"]) {
      await run.register({ url });
      expect(await find({ address: "10.0.0.2:1", local: false })).toEqual([url]);
      expect(await find(ends.caller)).toEqual([url]);
      await run.unregister();
    }
  });

  test("works around local-bypass, which shows others the URL of the manager", async () => {
    const manager = "tcp://10.0.0.1:5001";
    const store = memoryEndpoints();
    const ctx = Context.background({ clock }).with(peer, ends.caller);
    const elements: Elements<EndpointRegistry> = [
      registrationState(),
      recvFdServer({ until: program.signal }),
      localBypass({ url: manager }),
      store,
    ];
    const own = runRegistry(elements, { clock, ctx });
    const url = send(ends.server, await sockets.listen("nse"));
    expect((await own.register({ url })).url).toBe(url);
    expect(urlsOf(await own.find())).toEqual([url]);
    expect(urlsOf(await runRegistry([store]).find())).toEqual([manager]);
    await own.unregister();
    expect(own.leftovers()).toEqual({});
  });

  test("closes all sockets at the end of the program", async () => {
    await run.register({ url: send(ends.server, await sockets.listen("nse")) });
    program.abort();
    expect(run.debugState()).not.toHaveProperty("recv-fd/server");
    await expect(answerAt(registered())).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("recv-fd/client", () => {
  let clock: VirtualClock;
  let registry: Subject<NetworkServiceEndpointResponse>;
  let chain: EndpointRegistry;
  let element: ReturnType<typeof recvFdClient>;
  let logged: string[];
  /** What a Find by name shows: the URL of the endpoint. */
  let answers: Map<string, () => string>;

  const watch = (): ReturnType<typeof listen<NetworkServiceEndpointResponse>> => {
    const logs = { ...silent, warn: (_: object, message: string) => void logged.push(message) };
    const ctx = Context.background({ clock }).with(logger, logs);
    return listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: true }));
  };
  const show = (name: string, url: string, more: Partial<NetworkServiceEndpointResponse> = {}): void =>
    registry.next({
      deleted: false,
      networkServiceEndpoint: NetworkServiceEndpoint.create({
        name,
        url,
        expirationTime: toTimestamp(clock.now() + 60_000),
      }),
      ...more,
    });
  const held = (): DebugState => debugState([element]);
  /** Lets real promises settle; the descriptors are there already. */
  const settled = (): Promise<void> => clock.settle();

  beforeEach(() => {
    clock = virtualClock();
    logged = [];
    answers = new Map();
    registry = new Subject();
    element = recvFdClient({ until: program.signal });
    chain = endpointRegistryChain([
      element,
      {
        name: "registry",
        find(ctx, { watch: watching, networkServiceEndpoint: asked }) {
          expect(ctx.get(attachments)).toEqual([]);
          ctx.get(serverPeer)!.current = ends.server;
          if (watching) return registry;
          const url = answers.get(asked!.name)!();
          return of({ deleted: false, networkServiceEndpoint: { ...asked!, url } });
        },
      },
    ]);
  });

  test("shows a URL that reaches the socket, the same as long as the socket is", async () => {
    const socket = await sockets.listen("nse");
    const [one, two] = [watch(), watch()];
    for (let i = 0; i < 3; i++) {
      show("nse", send(ends.caller, socket));
      await settled();
    }
    one.stop();
    two.stop();
    const urls = new Set([...urlsOf(one.seen), ...urlsOf(two.seen)]);
    expect([one.seen.length, two.seen.length, urls.size]).toEqual([3, 3, 1]);
    expect(await answerAt([...urls][0]!)).toBe("nse");
    expect(held()).toEqual({ "recv-fd/client": { sockets: 1 } });
  });

  test("closes the socket when another one replaces it, and when the endpoint is deleted", async () => {
    const { seen, stop } = watch();
    for (const name of ["one", "two"]) show("nse", send(ends.caller, await sockets.listen(name)));
    await settled();
    const [first, second] = urlsOf(seen);
    await expect(answerAt(first!)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await answerAt(second!)).toBe("two");
    show("nse", "inode://1/1", { deleted: true });
    await settled();
    expect(seen.map(({ deleted }) => deleted)).toEqual([false, false, true]);
    expect(held()).toEqual({});
    expect(clock.timers).toBe(0);
    stop();
  });

  test("keeps the socket until the registration expires, also after the watch has ended", async () => {
    const { seen, stop } = watch();
    show("nse", send(ends.caller, await sockets.listen("nse")));
    await settled();
    registry.error(new NsmError(Code.Unavailable, "the registry is gone"));
    ends.close();
    await clock.advance(59_000);
    expect(await answerAt(urlsOf(seen)[0]!)).toBe("nse");
    await clock.advance(1_000);
    expect(held()).toEqual({});
    stop();
  });

  test("closes all sockets at the end of the program", async () => {
    const { seen, stop } = watch();
    show("nse", send(ends.caller, await sockets.listen("nse")));
    await settled();
    program.abort();
    expect(held()).toEqual({});
    expect(clock.timers).toBe(0);
    await expect(answerAt(urlsOf(seen)[0]!)).rejects.toMatchObject({ code: "ENOENT" });
    stop();
  });

  test("asks once more for an endpoint whose socket got lost, then omits it", async () => {
    const [lost, gone] = [await sockets.listen("lost"), await sockets.listen("gone")];
    answers.set("lost", () => send(ends.caller, lost));
    answers.set("gone", () => sockets.inodeUrl(gone));
    const { seen, stop } = watch();
    for (const [name, url] of Object.entries({ lost, gone })) show(name, sockets.inodeUrl(url));
    show("path", "unix:///run/nse.sock");
    show("nse", send(ends.caller, await sockets.listen("nse")));
    await clock.advance(6_000);
    expect(seen.map((found) => found.networkServiceEndpoint!.name)).toEqual(["lost", "path", "nse"]);
    expect(await answerAt(urlsOf(seen)[0]!)).toBe("lost");
    expect(logged).toEqual(["omitted an endpoint"]);
    stop();
  });

  test("holds nothing when a Find is canceled while it waits for a socket", async () => {
    const { stop } = watch();
    show("missing", sockets.inodeUrl(await sockets.listen("missing")));
    await settled();
    stop();
    await settled();
    expect(held()).toEqual({});
    expect([clock.timers, logged]).toEqual([0, []]);
  });
});
