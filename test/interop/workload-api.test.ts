import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { filter, firstValueFrom, Subject } from "rxjs";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Connection, NetworkServiceRequest } from "../../src/api/index.js";
import { Context, explain, peer, type NsmError } from "../../src/core/index.js";
import {
  spiffeIdentity,
  verifySvid,
  workloadApiSource,
  type Identity,
  type WorkloadApiSourceOptions,
  type X509Source,
} from "../../src/identity/index.js";
import { grpcServer } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { commandOf, type Program } from "./peers.js";
import { allBy, shortLife, withoutKernel, type Makers } from "./stack.js";
import { workloadAgent, type WorkloadAgent } from "./workload-agent.js";

const nsmgr = "spiffe://example.org/nsmgr";
const nsc = "spiffe://example.org/nsc";

let directory: string;
let problems: Subject<string>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "nsm-workload-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  problems = new Subject();
});

/** An agent that keeps its authority when it is started again. */
async function agent(args: readonly string[] = [], name = "agent"): Promise<WorkloadAgent> {
  const started = await workloadAgent([
    ...["--listen-on", `unix://${directory}/${name}.sock`, "--dir", join(directory, name), ...args],
    ...(args.includes("--id") ? [] : ["--id", nsmgr, "--id", nsc]),
  ]);
  onTestFinished(() => started.kill());
  return started;
}

async function follow(socket: string, options: WorkloadApiSourceOptions = {}): Promise<X509Source> {
  const onProblem = (problem: NsmError): void => problems.next(explain(problem));
  const source = await workloadApiSource({ socket, onProblem, ...options });
  onTestFinished(() => source.close());
  return source;
}

const problem = (part: string): Promise<string> =>
  firstValueFrom(problems.pipe(filter((text) => text.includes(part))));

const leaf = (source: X509Source): string => source.current().svid.certificates[0]!.fingerprint256;

describe("a source that follows a Workload API made in Go", () => {
  test("has the first SVID with its intermediate, its key and the bundle of its domain", async () => {
    const source = await follow((await agent()).address);
    const { svid, bundles } = source.current();
    expect(`${svid.id}`).toBe(nsmgr);
    expect(svid.certificates).toHaveLength(2);
    expect([...bundles.keys()]).toEqual(["example.org"]);
    expect(`${verifySvid(svid.certificates, bundles, Date.now())}`).toBe(nsmgr);
  });

  test("takes the SVID that the program picks, over TCP too", async () => {
    const tcp = await workloadAgent(["--listen-on", "tcp://127.0.0.1:0", "--id", nsmgr, "--id", nsc]);
    onTestFinished(() => tcp.kill());
    const source = await follow(tcp.address, {
      pickSvid: (offered) => offered.find(({ hint }) => hint === "nsc"),
    });
    expect(`${source.current().svid.id}`).toBe(nsc);
  });

  test("changes with a rotation, not with an equal response, and keeps the SVID when a bundle changes", async () => {
    const { address, command } = await agent();
    const source = await follow(address);
    const first = source.current();
    let changes = 0;
    source.changes.subscribe(() => changes++);

    let changed = firstValueFrom(source.changes);
    await command("again");
    await command("authority");
    await changed;
    const second = source.current();
    expect(second.svid).toBe(first.svid);
    expect(second.bundles.get("example.org")).toHaveLength(2);

    changed = firstValueFrom(source.changes);
    await command("rotate");
    await changed;
    expect(source.current().svid).not.toBe(first.svid);
    expect(source.current().bundles).toBe(second.bundles);
    expect(changes).toBe(2);
  });

  test.each([
    ["empty", "the response has no SVID"],
    ["malformed", "neither PEM nor DER"],
    ["mismatched", "the private key does not match"],
    ["rsa", "is RSA 2048; it must be ECDSA P-256, because tokens are signed with ES256"],
    ["p384", "is ECDSA P-384; it must be ECDSA P-256, because tokens are signed with ES256"],
    ["expired", "expired at"],
  ])(
    "keeps its identity when the agent sends one that is %s, and takes the next good one",
    async (bad, why) => {
      const { address, command } = await agent();
      const source = await follow(address);
      const before = source.current();
      const reported = problem(why);
      await command(`send ${bad}`);
      expect(await reported).toContain(`an identity from the Workload API at ${address} is not usable`);
      expect(source.current()).toBe(before);

      const changed = firstValueFrom(source.changes);
      await command("rotate");
      await changed;
      expect(leaf(source)).not.toBe(before.svid.certificates[0]!.fingerprint256);
    },
  );

  test("waits for an agent that has no identity for it yet", async () => {
    const { address, command } = await agent();
    await command("deny");
    const denied = problem("has no identity for this process");
    const following = follow(address);
    await denied;
    await command("allow");
    expect(`${(await following).current().svid.id}`).toBe(nsmgr);
  });

  test("does not start with an agent that rejects its requests", async () => {
    const { address, command } = await agent();
    await command("invalid");
    await expect(follow(address)).rejects.toThrow(`${address} rejects requests of the Workload API`);
  });

  test("keeps its identity while the agent is killed, and follows the next one at the same address", async () => {
    const first = await agent();
    const source = await follow(first.address);
    const before = leaf(source);
    const lost = problem("the connection to the Workload API");
    await first.kill();
    await lost;
    expect(leaf(source)).toBe(before);

    const changed = firstValueFrom(source.changes);
    const second = await agent();
    await changed;
    const between = leaf(source);
    expect(between).not.toBe(before);
    const rotated = firstValueFrom(source.changes);
    await second.command("rotate");
    await rotated;
    expect(leaf(source)).not.toBe(between);
  });
});

describe("a client and a server that follow Workload APIs made in Go", () => {
  interface Called {
    readonly caller: string;
    readonly certificate: string;
  }

  /** A server that answers, and a client that calls it. */
  async function connected(serverAt: string, clientAt: string, clientId: string) {
    const [server, client] = await Promise.all([
      follow(serverAt),
      follow(clientAt, { pickSvid: (offered) => offered.find(({ id }) => `${id}` === clientId) }),
    ]);
    const callers: Called[] = [];
    const identities: Identity[] = [spiffeIdentity(server), spiffeIdentity(client)];
    const serving = await grpcServer({
      identity: identities[0]!,
      listenOn: ["tcp://127.0.0.1:0"],
      services: {
        networkService: {
          request: async (ctx, { connection }) => {
            const { spiffeId, certificate } = ctx.get(peer)!;
            callers.push({ caller: spiffeId!, certificate: certificate!.fingerprint256 });
            return connection!;
          },
          close: async () => {},
        },
      },
    });
    onTestFinished(() => serving.close());
    const remotes = grpcRemotes({ identity: identities[1]! });
    onTestFinished(() => remotes.close());
    const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
    const call = async (): Promise<Called> => {
      await remotes.to(serving.listenOn[0]!).networkService.request(Context.background(), request);
      return callers.at(-1)!;
    };
    return { server, client, call };
  }

  test("have no failed call while both rotate, and see the new certificates", async () => {
    const { address, command } = await agent();
    const { server, client, call } = await connected(address, address, nsc);
    const first = await call();
    expect(first).toEqual({ caller: nsc, certificate: leaf(client) });

    let calling = true;
    let calls = 0;
    const busy = (async () => {
      for (; calling; calls++) await call();
    })();
    for (let rotation = 0; rotation < 5; rotation++) {
      const changed = Promise.all([firstValueFrom(server.changes), firstValueFrom(client.changes)]);
      await command("rotate");
      await changed;
      const certificate = leaf(client);
      while ((await call()).certificate !== certificate);
    }
    calling = false;
    await busy;
    expect(calls).toBeGreaterThan(5);
  });

  test("have no failed call while the authority changes", async () => {
    const { address, command } = await agent();
    const { server, client, call } = await connected(address, address, nsc);
    const { certificate: before } = await call();
    for (const step of ["authority", "rotate", "forget"]) {
      const changed = Promise.all([firstValueFrom(server.changes), firstValueFrom(client.changes)]);
      await command(step);
      await changed;
      await call();
    }
    expect((await call()).certificate).not.toBe(before);
  });

  test("have no failed call while the agent is killed and started again", async () => {
    const first = await agent();
    const { server, client, call } = await connected(first.address, first.address, nsc);
    const { certificate: before } = await call();
    await first.kill();
    expect((await call()).certificate).toBe(before);
    const changed = Promise.all([firstValueFrom(server.changes), firstValueFrom(client.changes)]);
    await agent();
    await changed;
    while ((await call()).certificate === before);
    expect((await call()).certificate).toBe(leaf(client));
  });

  test("accept each other in federated trust domains, and not before these trust each other", async () => {
    const org = await agent();
    const foreign = "spiffe://example.net/nsc";
    const net = await agent(["--trust-domain", "example.net", "--id", foreign], "net");
    const { server, client, call } = await connected(org.address, net.address, foreign);
    expect(await call().catch(explain)).toContain('is in trust domain "example.');

    const changed = Promise.all([firstValueFrom(server.changes), firstValueFrom(client.changes)]);
    await org.command(`federate example.net ${await net.command("bundle")}`);
    await net.command(`federate example.org ${await org.command("bundle")}`);
    await changed;
    // A channel that was refused connects again after a short delay.
    while (typeof (await call().catch(explain)) === "string");
    expect(await call()).toEqual({ caller: foreign, certificate: leaf(client) });
  });
});

const programs = ["registry", "nsmgr", "forwarder", "nse", "nsc"] as const;

/** An agent for each program. All have one authority. */
async function agentForEach(): Promise<Record<Program, WorkloadAgent>> {
  const all: Partial<Record<Program, WorkloadAgent>> = {};
  for (const name of programs) {
    const id = ["--id", `spiffe://example.org/${name}`, "--dir", join(directory, "authority")];
    all[name] = await agent(id, name);
  }
  return all as Record<Program, WorkloadAgent>;
}

describe("programs with --identity spiffe", () => {
  test.each<[string, Makers]>([
    ["ours", allBy("ours")],
    ["ours, with Go's registry and manager", allBy("ours", { registry: "go", nsmgr: "go" })],
    ["Go's, with our registry and manager", allBy("go", { registry: "ours", nsmgr: "ours" })],
    ["Go's, with our forwarder", allBy("go", { forwarder: "ours" })],
  ])("establish connections, also after all certificates rotated: %s", async (_title, makers) => {
    const agents = await agentForEach();
    const start = async (name: Program, args: readonly string[]): Promise<RunningProcess> => {
      const maker = makers[name];
      const flags = maker === "ours" ? withoutKernel[name] : [];
      const running = await startProcess({
        ...commandOf(maker, name, ["--identity", "spiffe", ...flags, ...args]),
        env: { SPIFFE_ENDPOINT_SOCKET: agents[name].address },
        name: `${maker} ${name}`,
      });
      onTestFinished(async () => void (await running.kill("SIGKILL")));
      return running;
    };
    const listen = ["--listen-on", "tcp://127.0.0.1:0"];
    const registry = await start("registry", listen);
    const manager = await start("nsmgr", [...listen, "--registry", registry.listenOn[0]!]);
    const to = ["--connect-to", manager.listenOn[0]!];
    await start("forwarder", [...listen, ...to]);
    await start("nse", [...listen, ...to, "--service", "svc", "--cidr", "172.16.1.0/24"]);
    const client = async (name: string): Promise<RunningProcess> => {
      const args = ["--name", name, ...to, "--request", "kernel://svc/nsm-1", ...shortLife];
      const nsc = await start("nsc", args);
      await nsc.events.next("established");
      return nsc;
    };

    const first = await client("nsc-1");
    for (const name of programs) await agents[name].command("rotate");
    const second = await client("nsc-2");
    for (const nsc of [first, second]) {
      await expect(nsc.stop()).resolves.toEqual({ code: 0, signal: null });
      expect(nsc.events.all.map(({ event }) => event)).not.toContain("failed");
    }
  });

  test.each([
    [{}, "--identity spiffe needs the address of a Workload API: set SPIFFE_ENDPOINT_SOCKET"],
    [
      { SPIFFE_ENDPOINT_SOCKET: "tcp://agent:8081" },
      'SPIFFE_ENDPOINT_SOCKET "tcp://agent:8081" cannot be used',
    ],
  ])("end with one line when the environment is %j", async (env, why) => {
    const starting = startProcess({ ...commandOf("ours", "registry", ["--identity", "spiffe"]), env });
    await expect(starting).rejects.toThrow(why);
    await expect(starting).rejects.toThrow("ended with code 2");
  });

  test("of a user exit when their work is done, though the agent is there", async () => {
    const { address } = await agent();
    const built = fileURLToPath(new URL("../../dist/identity/index.js", import.meta.url));
    const program = `
      const { workloadApiSource } = await import(${JSON.stringify(built)});
      console.log(String((await workloadApiSource()).current().svid.id));
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: address },
      timeout: 20_000,
    });
    expect(stdout).toBe(`${nsmgr}\n`);
  });
});
