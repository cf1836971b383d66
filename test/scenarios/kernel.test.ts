import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { netlinkIn, ping, type NetworkNamespace } from "../../src/linux/index.js";
import { testNamespace } from "../../src/testing/netns/index.js";
import type { ProcessEvent } from "../../src/programs/child/process.js";
import { expectEventually, ProcessMesh } from "./support.js";

let client: NetworkNamespace;
let endpoint: NetworkNamespace;
let mesh: ProcessMesh | undefined;

beforeEach(async () => {
  client = await testNamespace();
  endpoint = await testNamespace();
});
afterEach(async () => {
  await mesh?.stop();
  mesh = undefined;
  expect(await kernelLinks(client)).toEqual([]);
  expect(await kernelLinks(endpoint)).toEqual([]);
  client.close();
  endpoint.close();
});

/** The interfaces of a namespace beside its loopback. */
async function kernelLinks(namespace: NetworkNamespace): Promise<{ name: string; index: number }[]> {
  const links = await netlinkIn(namespace).links();
  return links.filter(({ name }) => name !== "lo").map(({ name, index }) => ({ name, index }));
}

const linkCount = async (namespace: NetworkNamespace): Promise<number> =>
  (await kernelLinks(namespace)).length;

async function countReplies(event: ProcessEvent): Promise<number> {
  const { context } = event.connection as { context: { ipContext: { dstIpAddrs: string[] } } };
  const to = context.ipContext.dstIpAddrs[0]!.split("/")[0]!;
  return (await ping({ namespace: client, to, count: 3, timeoutMs: 5_000 })).received;
}

describe("a kernel forwarder among processes", () => {
  test("connects client and endpoint, and removes the vWire when the client ends", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse", "ping");
    const nsc = await mesh.client("nsc", "ping");
    expect(await countReplies(await nsc.events.next("established"))).toBe(3);
    expect((await kernelLinks(client)).map(({ name }) => name)).toEqual(["nsm-1"]);
    await nsc.stop();
    await expectEventually(() => linkCount(client), 0);
    await expectEventually(() => linkCount(endpoint), 0);
  });

  test("takes over its predecessor's wires unchanged after kill -9", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse", "ping");
    const nsc = await mesh.client("nsc", "ping");
    const established = await nsc.events.next("established");
    expect(await countReplies(established)).toBe(3);
    const before = await kernelLinks(client);
    await mesh.replace("forwarder");
    await nsc.events.next("healing");
    expect(await countReplies(await nsc.events.next("updated", { timeoutMs: 30_000 }))).toBe(3);
    expect(await kernelLinks(client)).toEqual(before);
    await nsc.stop();
  });

  test("removes the vWire although it was down when the client began to end", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse", "ping");
    const nsc = await mesh.client("nsc", "ping");
    await nsc.events.next("established");
    await mesh.get("forwarder").kill("SIGKILL");
    const ended = nsc.stop();
    await mesh.replace("forwarder");
    expect((await ended).code).toBe(0);
    await expectEventually(() => linkCount(client), 0);
    await expectEventually(() => linkCount(endpoint), 0);
  });

  test("removes the vWire of a killed client when its token expires", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse", "ping");
    const nsc = await mesh.client("nsc", "ping", ["--max-token-lifetime", "4s", "--request-timeout", "1s"]);
    await nsc.events.next("established");
    expect(await linkCount(client)).toBe(1);
    await nsc.kill("SIGKILL");
    await expectEventually(() => linkCount(client), 0);
    await expectEventually(() => linkCount(endpoint), 0);
  });

  test("removes unclaimed vWires after a restart, when they expire", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse", "ping");
    const nsc = await mesh.client("nsc", "ping", ["--max-token-lifetime", "5s", "--request-timeout", "1s"]);
    await nsc.events.next("established");
    await nsc.kill("SIGKILL");
    await mesh.replace("forwarder");
    await expectEventually(() => linkCount(client), 0);
    await expectEventually(() => linkCount(endpoint), 0);
  });

  test("wires the client to the second endpoint when the first is killed", async () => {
    mesh = await ProcessMesh.start({ client, endpoint });
    await mesh.endpoint("nse-1", "ping");
    const nsc = await mesh.client("nsc", "ping");
    await nsc.events.next("established");
    await mesh.endpoint("nse-2", "ping");
    await mesh.get("nse-1").kill("SIGKILL");
    await nsc.events.next("healing");
    expect(await countReplies(await nsc.events.next("updated"))).toBe(3);
    expect(await linkCount(client)).toBe(1);
    expect(await linkCount(endpoint)).toBe(1);
    await nsc.stop();
  });
});
