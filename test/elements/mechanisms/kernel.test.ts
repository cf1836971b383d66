import { describe, expect, test } from "vitest";
import { Mechanism, type Connection } from "../../../src/api/index.js";
import { Code } from "../../../src/core/index.js";
import { kernelClient, kernelServer } from "../../../src/elements/mechanisms/kernel/index.js";
import { describeElement, recorder, run, sampleRequest } from "../../../src/testing/index.js";

const inodeUrl = "file:///run/netns/blue";

describeElement("mechanisms/kernel/client", () => kernelClient({ inodeUrl }));
describeElement("mechanisms/kernel/server", () => kernelServer(), {
  request: (sample) => ({
    ...sample,
    connection: { ...sample.connection!, mechanism: sample.mechanismPreferences[0] },
  }),
});

const kernel = (parameters: Record<string, string> = {}): Mechanism =>
  Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters });

describe("mechanisms/kernel/client", () => {
  async function offered(
    element = kernelClient({ inodeUrl }),
    preferences: Mechanism[] = [],
    patch: Partial<Connection> = {},
  ) {
    const seen = recorder();
    const { clock, send } = run([element, seen]);
    await send({ ...sampleRequest(clock.now(), patch), mechanismPreferences: preferences });
    return seen.requests[0]!.mechanismPreferences;
  }

  test("offers KERNEL once, with the namespace and a name of 15 characters derived from the service", async () => {
    const [mechanism, ...others] = await offered(undefined, [], { networkService: "icmp-responder" });
    expect(others).toEqual([]);
    expect(mechanism).toMatchObject({ cls: "LOCAL", type: "KERNEL", parameters: { inodeURL: inodeUrl } });
    expect(mechanism!.parameters["name"]).toMatch(/^icmp-respo-[0-9A-Za-z]{4}$/);
  });

  test("completes every KERNEL preference, keeps its name, and does not change others", async () => {
    const memif = Mechanism.create({ cls: "LOCAL", type: "MEMIF" });
    expect(
      await offered(undefined, [kernel({ name: "nsm-1" }), memif, kernel({ name: "nsm-2", vlan: "7" })]),
    ).toEqual([
      kernel({ name: "nsm-1", inodeURL: inodeUrl }),
      memif,
      kernel({ name: "nsm-2", vlan: "7", inodeURL: inodeUrl }),
    ]);
  });

  test("uses the configured name if the request has none", async () => {
    const element = kernelClient({ inodeUrl, interfaceName: "uplink" });
    expect((await offered(element))[0]!.parameters["name"]).toBe("uplink");
    expect((await offered(element, [kernel({ name: "nsm-1" })]))[0]!.parameters["name"]).toBe("nsm-1");
  });

  test("derives a name from the connection: the same for a heal, another for another connection", async () => {
    const names = await Promise.all(
      ["one", "one", "two"].map(async (id) => (await offered(undefined, [], { id }))[0]!.parameters["name"]),
    );
    expect(names[0]).toBe(names[1]);
    expect(names[0]).not.toBe(names[2]);
  });

  test("derives a valid interface name from any service name", async () => {
    for (const networkService of ["a", "a/b c@d:e%f", "ünïcödé-service", ""]) {
      const name = (await offered(undefined, [], { networkService }))[0]!.parameters["name"]!;
      expect(name).toMatch(/^[0-9A-Za-z._-]{15}$/);
    }
  });

  test("without a namespace it only offers, and the next hop adds the parameters", async () => {
    expect(await offered(kernelClient())).toEqual([kernel()]);
  });

  test.each(["a-name-too-long!", "", "a b", "a/b", "eth0:1", ".."])('rejects the name "%s"', async (name) => {
    expect(() => kernelClient({ inodeUrl, interfaceName: name })).toThrow(`invalid interface name "${name}"`);
    expect(() => kernelServer({ interfaceName: name })).toThrow(`invalid interface name "${name}"`);
    if (name)
      await expect(offered(undefined, [kernel({ name })])).rejects.toMatchObject({
        code: Code.InvalidArgument,
      });
  });
});

describe("mechanisms/kernel/server", () => {
  test("completes the selected mechanism and keeps it across a refresh", async () => {
    const { request, refresh } = run([kernelServer({ inodeUrl })]);
    const first = await request({ mechanism: kernel(), networkService: "firewall" });
    expect(first.mechanism!.parameters["inodeURL"]).toBe(inodeUrl);
    expect(first.mechanism!.parameters["name"]).toMatch(/^firewall-[0-9A-Za-z]{6}$/);
    expect(await refresh()).toEqual(first);
  });

  test("defaults to the namespace of this process", async () => {
    const { request } = run([kernelServer()]);
    const { mechanism } = await request({ mechanism: kernel() });
    expect(mechanism!.parameters["inodeURL"]).toBe(`file:///proc/${process.pid}/ns/net`);
  });

  test("keeps the name that the other side selected", async () => {
    const { request } = run([kernelServer({ interfaceName: "uplink" })]);
    expect((await request({ mechanism: kernel({ name: "nsm-1" }) })).mechanism!.parameters["name"]).toBe(
      "nsm-1",
    );
    expect((await request({ mechanism: kernel() })).mechanism!.parameters["name"]).toBe("uplink");
  });

  test("does not change other mechanisms, or a connection without one", async () => {
    const { request } = run([kernelServer()]);
    const memif = Mechanism.create({ cls: "LOCAL", type: "MEMIF" });
    expect((await request({ mechanism: memif })).mechanism).toEqual(memif);
    expect((await request()).mechanism).toBeUndefined();
  });
});
