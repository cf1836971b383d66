import { spawn } from "node:child_process";
import { once } from "node:events";
import type { IPContext } from "../../../../src/api/index.js";
import { Code, NsmError } from "../../../../src/core/index.js";
import { linuxKernel, type Kernel } from "../../../../src/elements/cross-connect/index.js";
import { createVeth, netlinkIn, newNamespace, type NetworkNamespace } from "../../../../src/linux/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import {
  forwarder as forwarderBetween,
  ipContext,
  kernelMechanism,
} from "../../../elements/support/forwarder.js";
import { runChild } from "../../linux/child.js";
import { forwarder, dualStack, linksOf, reaches } from "./kit.js";

/** Starts a process in a namespace. Default: a new one, which ends with the process. */
async function processInNamespace(home?: NetworkNamespace) {
  const namespace = home ?? newNamespace();
  const child = namespace.run(() => spawn("sleep", ["600"], { stdio: "ignore" }));
  await once(child, "spawn");
  if (!home) namespace.close();
  const exit = once(child, "exit");
  return {
    path: `/proc/${child.pid}/ns/net`,
    async kill(): Promise<void> {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/** Opens each path once, like a descriptor that is closed after the Request. */
function onceEach({ open }: Kernel): Kernel["open"] {
  const opened = new Set<string>();
  return (path) => {
    if (opened.has(path)) throw new NsmError(Code.NotFound, `${path} is closed`);
    opened.add(path);
    return open(path);
  };
}

describe("a wire of cross-connect that cannot be made", () => {
  test.each([
    ["the client's", "nsm-1"],
    ["the endpoint's", "fw-1"],
  ])("because %s name is taken leaves only what was there", (whose, name) =>
    withNamespaces(2, async ([client, endpoint]) => {
      const [spare, ofClient] = ["spare", whose === "the client's"];
      const at = ofClient ? client : endpoint;
      await createVeth({ a: { namespace: at, name }, b: { namespace: at, name: spare } });
      const { sendRequest, leftovers } = forwarder(client, endpoint);
      await expect(sendRequest()).rejects.toMatchObject({
        code: Code.AlreadyExists,
        message: expect.stringContaining(`"${name}"`),
      });
      expect((await linksOf(at)).sort()).toEqual([name, spare].sort());
      expect([await linksOf(ofClient ? endpoint : client), leftovers()]).toEqual([[], {}]);
    }),
  );

  test.each<[string, Partial<IPContext>, number | undefined]>([
    ["an unusable address", { srcIpAddrs: ["10.0.0.1/32", "ff02::1/128"] }, undefined],
    ["a neighbor with a bad MAC", { ipNeighbors: [{ ip: "10.0.0.9", hardwareAddress: "02:00" }] }, undefined],
    ["an MTU too small for IPv6", dualStack, 600],
  ])("because of %s leaves nothing", (_what, patch, mtu) =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, answer, downstream, leftovers } = forwarder(client, endpoint);
      answer.ip = ipContext(patch);
      answer.mtu = mtu;
      await expect(sendRequest()).rejects.toMatchObject({ code: expect.any(Number) });
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
      expect(downstream.calls).toEqual(["request", "close"]);
    }),
  );

  test.each([
    "/proc/self/ns/mnt",
    `/proc/${process.pid}/ns/mnt`,
    "/dev/null",
    "/tmp",
    "/proc/4194305/ns/net",
  ])("because %s is no network namespace of a client", (path) =>
    withNamespaces(1, async ([endpoint]) => {
      const { sendRequest, downstream } = forwarderBetween({ client: path, endpoint: endpoint.path });
      await expect(sendRequest()).rejects.toMatchObject({ message: expect.stringContaining(path) });
      expect(downstream.calls).toEqual([]);
    }),
  );

  test("names the missing privilege when the process may not enter the client's namespace", () =>
    withNamespaces(1, async ([client]) => {
      const { status, stdout } = await runChild("../../elements/children/cross-connect-without-privilege", {
        prefix: ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
        inherit: client.fd,
      });
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: expect.stringMatching(/^PermissionDenied: .*lacks CAP_SYS_ADMIN.* \{\}$/m),
      });
    }));
});

describe("a wire of cross-connect, its surroundings gone", () => {
  test("goes with the client's namespace, and Close finds nothing to do", () =>
    withNamespaces(1, async ([endpoint]) => {
      const client = await processInNamespace();
      const { sendRequest, refresh, close, leftovers, debugState } = forwarderBetween({
        client: client.path,
        endpoint: endpoint.path,
      });
      await sendRequest();
      expect(await linksOf(endpoint)).toEqual(["fw-1"]);
      await client.kill();
      await expect.poll(() => linksOf(endpoint)).toEqual([]);
      await expect(refresh()).rejects.toMatchObject({ code: Code.NotFound });
      expect(debugState()["cross-connect"]).toEqual({ vWires: 1 });
      await close();
      expect(leftovers()).toEqual({});
    }));

  test("goes with the client's namespace when the client ended during the Request", () =>
    withNamespaces(1, async ([endpoint]) => {
      const client = await processInNamespace();
      const { sendRequest, answer, close, leftovers } = forwarderBetween({
        client: client.path,
        endpoint: endpoint.path,
      });
      answer.onRequest = client.kill;
      await sendRequest();
      await expect.poll(() => linksOf(endpoint)).toEqual([]);
      await close();
      expect(leftovers()).toEqual({});
    }));

  test("is removed without a path to either namespace", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const kernel = linuxKernel();
      const { sendRequest, close, leftovers } = forwarder(client, endpoint, {
        kernel: { ...kernel, open: onceEach(kernel), pathTo: async () => undefined },
      });
      await sendRequest();
      expect([await linksOf(client), await linksOf(endpoint)]).toEqual([["nsm-1"], ["fw-1"]]);
      await close();
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
    }));

  test("is replaced when its endpoint died with its namespace and came again", () =>
    withNamespaces(1, async ([client]) => {
      const [first, second] = [await processInNamespace(), await processInNamespace()];
      const { sendRequest, refresh, answer, close } = forwarderBetween({
        client: client.path,
        endpoint: first.path,
      });
      await sendRequest();
      await first.kill();
      await expect.poll(() => linksOf(client)).toEqual([]);
      await expect(refresh()).rejects.toMatchObject({ code: Code.NotFound });
      answer.mechanism = kernelMechanism(second.path, "fw-1");
      await refresh();
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await close();
      expect(await linksOf(client)).toEqual([]);
      await second.kill();
    }));

  test("is found by other processes of the same namespaces when those that named them have ended", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const [a, b] = [await processInNamespace(client), await processInNamespace(endpoint)];
      const [stayA, stayB] = [await processInNamespace(client), await processInNamespace(endpoint)];
      const { sendRequest, close, leftovers } = forwarderBetween({ client: a.path, endpoint: b.path });
      await sendRequest();
      await Promise.all([a.kill(), b.kill()]);
      await close();
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
      await Promise.all([stayA.kill(), stayB.kill()]);
    }));

  test("is closed although another process deleted it", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, close, leftovers } = forwarder(client, endpoint);
      await sendRequest();
      await netlinkIn(client).deleteLink("nsm-1");
      await close();
      expect(leftovers()).toEqual({});
    }));
});
