import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NetworkServiceRequest } from "../../../../src/api/index.js";
import { client } from "../../../../src/chains/client/index.js";
import { serveEndpoint } from "../../../../src/chains/endpoint/index.js";
import { forwarder, kernelMechanisms } from "../../../../src/chains/forwarder/index.js";
import { nsmgr } from "../../../../src/chains/nsmgr/index.js";
import { Context, silent, systemClock } from "../../../../src/core/index.js";
import { kernelClient } from "../../../../src/elements/mechanisms/kernel/index.js";
import { insecureIdentity } from "../../../../src/identity/index.js";
import { grpcServer } from "../../../../src/inbound/index.js";
import {
  netlinkIn,
  ping,
  tcpConnect,
  tcpListen,
  type NetworkNamespace,
} from "../../../../src/linux/index.js";
import { nftablesIn } from "../../../../src/linux/nftables/index.js";
import { grpcRemotes } from "../../../../src/outbound/index.js";
import { testNamespace } from "../../../../src/testing/netns/index.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningProcess } from "../../../../src/programs/child/process.js";
import { datagrams } from "./datagrams.js";
import { startSource } from "./process.js";

const exampleRules = fileURLToPath(new URL("../../../../examples/cnf-firewall/rules.yaml", import.meta.url));
/** How long a probe waits when no answer may come, and when one must: TCP tries again after 1,000 ms. */
const timeoutMs = 400;
const answerMs = 900;

/** A manager with its own registry, a forwarder that wires, and a client. */
async function mesh(folder: string) {
  const life = new AbortController();
  const until = life.signal;
  const identity = insecureIdentity();
  const remotes = grpcRemotes({ identity });
  const url = `unix://${folder}/nsmgr.sock`;
  const manager = nsmgr({
    name: "nsmgr",
    url,
    remotes,
    tokens: identity.tokens,
    until,
    forwarderService: "forwarder",
  });
  const server = await grpcServer({ identity, listenOn: [url], services: manager });
  const { networkServices, endpoints } = remotes.to(url);
  const mechanisms = kernelMechanisms({ until, clock: systemClock, logger: silent });
  const served = await serveEndpoint({
    name: "forwarder",
    services: ["forwarder"],
    registerServices: false,
    labels: { p2p: "true" },
    connectTo: url,
    listenOn: [`unix://${folder}/forwarder.sock`],
    identity,
    chain: forwarder({
      name: "forwarder",
      tokens: identity.tokens,
      networkServices,
      endpoints,
      remotes,
      until,
      mechanisms,
    }),
  });
  return {
    url,
    nsc: (namespace: NetworkNamespace) =>
      client({
        name: "nsc",
        url,
        remotes,
        until,
        elements: [kernelClient({ inodeUrl: `file://${namespace.path}`, interfaceName: "nsm-1" })],
      }).networkService,
    async close() {
      await served.close();
      await server.close();
      life.abort();
      remotes.close();
    },
  };
}

describe.each([
  ["nsmctl run nse-firewall", "test/netns/elements/firewall/children/nse-firewall.ts"],
  ["examples/cnf-firewall", "examples/cnf-firewall/main.ts"],
])("%s", (_name, source) => {
  let folder: string;
  let rules: string;
  let here: NetworkNamespace;
  let there: NetworkNamespace;
  let nodes: Awaited<ReturnType<typeof mesh>>;
  let running: RunningProcess | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "firewall-"));
    rules = join(folder, "rules.yaml");
    await writeFile(rules, await readFile(exampleRules));
    [here, there] = [await testNamespace(), await testNamespace()];
    nodes = await mesh(folder);
  });
  afterEach(async () => {
    await running?.stop();
    running = undefined;
    await nodes.close();
    here.close();
    there.close();
    await rm(folder, { recursive: true });
  });

  const start = () =>
    startSource(source, {
      NSM_NAME: "fw-1",
      NSM_CONNECT_TO: nodes.url,
      NSM_LISTEN_ON: `unix://${folder}/fw-1.sock`,
      NSM_SERVICE_NAMES: "firewall",
      NSM_CIDR_PREFIX: "172.16.1.0/24",
      NSM_ACL_CONFIG_PATH: rules,
      NSM_INSECURE: "true",
      NSM_NETNS: there.path,
    });

  test("filters a client's packets, follows its file, reports its counters, and leaves nothing", async () => {
    running = await start();
    const nsc = nodes.nsc(here);
    const ctx = Context.background();
    const request = NetworkServiceRequest.create({ connection: { id: "1", networkService: "firewall" } });
    const connection = await ctx.withTimeout(10_000, (c) => nsc.request(c, request));
    expect(connection.path?.pathSegments.map(({ name }) => name)).toEqual([
      "nsc",
      "nsmgr",
      "forwarder",
      "fw-1",
    ]);
    const host = connection.context!.ipContext!.dstIpAddrs[0]!.split("/")[0]!;
    const listeners = await Promise.all(
      [80, 5432].map((port) => tcpListen({ namespace: there, host, port })),
    );

    expect(await ping({ namespace: here, to: host, count: 3 })).toMatchObject({ received: 3 });
    expect(await tcpConnect({ namespace: here, host, port: 80, timeoutMs: answerMs })).toBe("open");
    expect(await tcpConnect({ namespace: here, host, port: 5432, timeoutMs })).toBe("timeout");
    process.kill(running.pid, "SIGUSR2");
    expect(await running.events.next("counters")).toMatchObject({
      rules: [
        { name: "ping", action: "allow", packets: 3 },
        { name: "web", action: "allow" },
        { name: "database", action: "deny", packets: 1 },
      ],
      denied: { packets: 0 },
    });

    await writeFile(rules, (await readFile(rules, "utf8")).replace("deny", "allow"));
    expect(await running.events.next("rules")).toEqual({ event: "rules", rules: 3 });
    expect(await tcpConnect({ namespace: here, host, port: 5432, timeoutMs: answerMs })).toBe("open");
    await writeFile(rules, "- { name: web, action: alow }\n");
    expect(await running.events.next("rules-refused")).toMatchObject({
      error: expect.stringContaining(`${rules}:1: rule "web": action: invalid value "alow"`),
    });
    expect(await tcpConnect({ namespace: here, host, port: 5432, timeoutMs: answerMs })).toBe("open");

    for (const one of listeners) await one.close();
    await nsc.close(ctx, connection);
    expect((await netlinkIn(there).links()).map(({ name }) => name)).toEqual(["lo"]);
    expect(await running.stop()).toEqual({ code: 0, signal: null });
    expect(await nftablesIn(there).tables()).toEqual([]);
  });

  test("stays closed to what its rules deny after it ended, and when it cannot start again", async () => {
    running = await start();
    const nsc = nodes.nsc(here);
    const ctx = Context.background();
    const request = NetworkServiceRequest.create({ connection: { id: "1", networkService: "firewall" } });
    const connection = await ctx.withTimeout(10_000, (c) => nsc.request(c, request));
    const { srcIpAddrs, dstIpAddrs } = connection.context!.ipContext!;
    const at = (addresses: readonly string[], port: number) => ({ host: addresses[0]!.split("/")[0]!, port });
    const [sender, receiver] = [
      datagrams(here, at(srcIpAddrs, 6_000), at(dstIpAddrs, 5_432)),
      datagrams(there, at(dstIpAddrs, 5_432), at(srcIpAddrs, 6_000)),
    ];
    let sent = 0;
    const traffic = setInterval(() => {
      sent++;
      sender.send();
    }, 1);
    try {
      const tables = async () => (await nftablesIn(there).tables()).map(({ name }) => name);
      expect(await running.stop()).toEqual({ code: 0, signal: null });
      expect(await tables()).toEqual(["nsm-firewall-fw-1"]);
      await writeFile(rules, "# none\n");
      await expect(start()).rejects.toThrow(/rules\.yaml:1: no rules: write \[\] to allow everything/);
      expect(await tables()).toEqual(["nsm-firewall-fw-1"]);
      expect(sent).toBeGreaterThan(100);
      expect(receiver.count()).toBe(0);
    } finally {
      clearInterval(traffic);
      sender.close();
      receiver.close();
    }
  });

  test("does not start when its rules make no sense, and leaves nothing", async () => {
    await writeFile(rules, "- { name: web, action: allow, ports: 80 }\n");
    await expect(start()).rejects.toThrow(
      /rules\.yaml:1: rule "web": ports: allowed only for protocol tcp, udp or sctp/,
    );
    expect(await nftablesIn(there).tables()).toEqual([]);
  });
});
