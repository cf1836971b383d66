import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { netlinkIn, type NetworkNamespace } from "../../src/linux/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { testNamespace } from "../../src/testing/netns/index.js";
import { command } from "./support.js";

/** Starts a program in a PID namespace and a mount namespace of its own, as a container. */
const CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"];
/** With a network namespace that ends with it. */
const OWN_NETWORK = [...CONTAINER, "--net"];
/** Without privileges outside of it. */
const ROOTLESS = ["unshare", "--user", "--map-root-user", "--net", ...CONTAINER.slice(1)];
/** With the PID namespace of the machine, but a network of its own. */
const PRIVILEGED = ["unshare", "--net"];

interface Place {
  readonly through?: readonly string[];
  readonly namespace?: NetworkNamespace;
}

let folder: string;
/** The network namespace of the machine, where manager and forwarder live. */
let machine: NetworkNamespace;
let endpoint: NetworkNamespace;
let running: RunningProcess[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nsm-containers-"));
  machine = await testNamespace();
  endpoint = await testNamespace();
  running = [];
});
afterEach(async () => {
  for (const process of running.reverse()) await signal(process, "SIGTERM");
  expect([await linksIn(machine), await linksIn(endpoint)]).toEqual([[], []]);
  machine.close();
  endpoint.close();
  rmSync(folder, { recursive: true, force: true });
});

const url = (name: string): string => `unix://${join(folder, `${name}.sock`)}`;

async function run(
  name: string,
  program: string,
  args: readonly string[],
  { through = [], namespace = machine }: Place = {},
): Promise<RunningProcess> {
  const listen = program === "nsc" ? [] : ["--listen-on", url(name)];
  const line = [...command(program, ["--insecure", "--name", name, ...listen, ...args])];
  const [first, ...rest] = [...through, process.execPath, ...line];
  const started = await startProcess({ command: first!, args: rest, name, namespace });
  running.push(started);
  return started;
}

const manager = (place: Place = {}): Promise<RunningProcess> =>
  run("nsmgr", "nsmgr", ["--registry", "none"], place);
const forwarder = (place: Place = { through: CONTAINER }): Promise<RunningProcess> =>
  run("forwarder", "forwarder", ["--connect-to", url("nsmgr"), "--state-dir", join(folder, "state")], place);
const nse = (): Promise<RunningProcess> =>
  run("nse", "nse", ["--service", "ping", "--cidr", "10.0.0.0/24", "--connect-to", url("nsmgr")], {
    through: CONTAINER,
    namespace: endpoint,
  });
const client = (place: Place, more: readonly string[] = []): Promise<RunningProcess> =>
  run("nsc", "nsc", ["--request", "kernel://ping/nsm-1", "--connect-to", url("nsmgr"), ...more], place);

/** Signals the program inside of a container, and waits until the container has ended. */
async function signal({ pid, exited }: RunningProcess, name: NodeJS.Signals): Promise<void> {
  if (!existsSync(`/proc/${pid}`)) return;
  const inner = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0];
  const isContainer = readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("unshare\0");
  process.kill(isContainer && inner ? Number(inner) : pid, name);
  await exited;
}

async function linksIn(namespace: NetworkNamespace): Promise<{ name: string; index: number }[]> {
  const links = await netlinkIn(namespace).links();
  return links.filter(({ name }) => name !== "lo").map(({ name, index }) => ({ name, index }));
}
const namesIn = async (namespace: NetworkNamespace): Promise<string[]> =>
  (await linksIn(namespace)).map(({ name }) => name);

describe("client, endpoint and forwarder in containers", () => {
  beforeEach(() => manager());

  test("the interface lands in the network namespace of the client, and a Close removes it", async () => {
    await forwarder();
    await nse();
    const namespace = await testNamespace();
    const nsc = await client({ through: CONTAINER, namespace });
    await nsc.events.next("established");
    expect([await namesIn(namespace), await linksIn(machine)]).toEqual([["nsm-1"], []]);
    expect(await linksIn(endpoint)).toHaveLength(1);
    await signal(nsc, "SIGTERM");
    expect([await linksIn(namespace), await linksIn(endpoint)]).toEqual([[], []]);
    namespace.close();
  });

  test("the namespace of a killed client ends with it, because no other process holds it", async () => {
    await forwarder();
    await nse();
    const nsc = await client({ through: OWN_NETWORK });
    await nsc.events.next("established");
    expect(await linksIn(endpoint)).toHaveLength(1);
    await signal(nsc, "SIGKILL");
    // A descriptor may wait some seconds for other calls that came with it.
    await expect.poll(() => linksIn(endpoint), { timeout: 15_000 }).toEqual([]);
  });

  test.each([
    ["on the network of the machine", false],
    ["on a network of its own", true],
  ])("a forwarder that was killed takes over its vWires, %s", async (_where, ownNetwork) => {
    const place: Place = {
      through: CONTAINER,
      ...(ownNetwork && { namespace: await testNamespace() }),
    };
    const first = await forwarder(place);
    await nse();
    const namespace = await testNamespace();
    const nsc = await client({ through: CONTAINER, namespace });
    await nsc.events.next("established");
    const before = await linksIn(namespace);
    await signal(first, "SIGKILL");
    await forwarder(place);
    await nsc.events.next("healing");
    await nsc.events.next("updated", { timeoutMs: 30_000 });
    expect([await linksIn(namespace), before.length]).toEqual([before, 1]);
    await signal(nsc, "SIGTERM");
    expect([await linksIn(namespace), await linksIn(endpoint)]).toEqual([[], []]);
    namespace.close();
    place.namespace?.close();
  });

  test("a vWire survives a restart of the manager", async () => {
    await forwarder();
    await nse();
    const namespace = await testNamespace();
    const nsc = await client({ through: CONTAINER, namespace });
    await nsc.events.next("established");
    const before = await linksIn(namespace);
    await signal(running[0]!, "SIGKILL");
    await manager();
    await nsc.events.next("healing");
    await nsc.events.next("updated", { timeoutMs: 60_000 });
    expect(await linksIn(namespace)).toEqual(before);
    await signal(nsc, "SIGTERM");
    expect([await linksIn(namespace), await linksIn(endpoint)]).toEqual([[], []]);
    namespace.close();
  });

  test("a client in a user namespace of its own gets its interface", async () => {
    await forwarder();
    await nse();
    const nsc = await client({ through: ROOTLESS });
    await nsc.events.next("established");
    expect([await linksIn(machine), (await linksIn(endpoint)).length]).toEqual([[], 1]);
    await signal(nsc, "SIGTERM");
    expect(await linksIn(endpoint)).toEqual([]);
  });

  test("the network of the machine is for its own processes, not for a container that can open it", async () => {
    const { pid } = await forwarder({});
    await nse();
    const other = ["--netns", `/proc/${pid}/ns/net`, "--request-timeout", "3s"];
    const foreign = await client({ through: PRIVILEGED }, other);
    expect(await foreign.events.next("failed")).toMatchObject({
      error: {
        code: "PermissionDenied",
        message: expect.stringMatching(/belongs to the machine: only a process that runs in it may use it$/),
      },
      retrying: false,
    });
    await signal(foreign, "SIGTERM");
    expect([await linksIn(machine), await linksIn(endpoint)]).toEqual([[], []]);

    const nsc = await client({ through: CONTAINER });
    await nsc.events.next("established");
    expect(await namesIn(machine)).toEqual(["nsm-1"]);
    await signal(nsc, "SIGTERM");
    expect(await linksIn(machine)).toEqual([]);
  });
});

// Since Linux 6.18 the kernel's first network namespace has a number of its own.
test.skipIf(statSync("/proc/self/ns/net").ino !== 0xefff_fff9)(
  "the first network of the kernel is not for a container that can open it, though the manager lives elsewhere",
  async () => {
    await manager({ through: CONTAINER });
    await forwarder();
    await nse();
    const foreign = await client({ through: PRIVILEGED }, ["--netns", `/proc/${process.pid}/ns/net`]);
    expect(await foreign.events.next("failed")).toMatchObject({ error: { code: "PermissionDenied" } });
    await signal(foreign, "SIGTERM");
    expect(await linksIn(endpoint)).toEqual([]);
  },
);
