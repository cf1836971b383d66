import {
  ConnectionContext,
  Mechanism,
  patchConnection,
  Payload,
  type Connection,
} from "../../../src/api/index.js";
import { Code, type NetworkServiceElement } from "../../../src/core/index.js";
import { crossConnect } from "../../../src/elements/cross-connect/index.js";
import { endpointMechanism } from "../../../src/elements/mechanism-translation/index.js";
import { requestFiles } from "../../../src/elements/request-files/index.js";
import { describeElement } from "../../../src/testing/index.js";
import { describe, expect, test } from "vitest";
import { FakeKernel } from "../support/fake-kernel.js";
import { FilesByPath, ipContext, kernelMechanism } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, ID, forwarder } from "./kit.js";

const kernel = new FakeKernel(CLIENT, ENDPOINT);

// The connections of the suite exist in parallel, so their interfaces need unique names.
const shortId = (connection: Connection | undefined): string => connection!.id.slice(0, 3);

const endpointSide: NetworkServiceElement = {
  name: "endpoint",
  request(ctx, request, next) {
    endpointMechanism.set(ctx, kernelMechanism(ENDPOINT, `fw-${shortId(request.connection)}`));
    return next.request(ctx, request);
  },
};

describeElement("cross-connect", ({ clock, until }) => crossConnect({ kernel, clock, until }), {
  ctx: (ctx) => ctx.with(requestFiles, new FilesByPath()),
  behind: [endpointSide],
  request: (sample) =>
    patchConnection(sample, { mechanism: kernelMechanism(CLIENT, `nsm-${shortId(sample.connection)}`) }),
});

describe("the vWire of cross-connect", () => {
  test("connects client and endpoint, each with its name, alias, addresses, routes and MTU", async () => {
    const { sendRequest, kernel, leftovers, close } = forwarder();
    const connection = await sendRequest();

    expect(connection.context?.MTU).toBe(9000);
    expect(kernel.show(CLIENT)).toEqual([
      {
        name: "nsm-1",
        alias: `server-${ID}`,
        mtu: 9000,
        up: true,
        addresses: ["10.0.0.1/32"],
        routes: ["10.0.0.0/32 universe"],
        neighbors: [],
      },
    ]);
    expect(kernel.show(ENDPOINT)).toEqual([
      {
        name: "fw-1",
        alias: `client-${ID}`,
        mtu: 9000,
        up: true,
        addresses: ["10.0.0.0/32"],
        routes: ["10.0.0.1/32 universe"],
        neighbors: [],
      },
    ]);
    expect(leftovers()["cross-connect"]).toEqual({ vWires: 1 });
    expect(kernel.opened).toBe(0);
    // Addresses from the kernel are kept.
    expect(kernel.operations.filter((it) => it.startsWith("remove"))).toEqual([]);

    await close();
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
    expect(leftovers()).toEqual({});
  });

  test("has the MTU that the endpoint side lowered, also after later changes", async () => {
    const { sendRequest, refresh, answer, kernel } = forwarder();
    answer.mtu = 1446;
    await sendRequest();
    expect([kernel.show(CLIENT)[0]!.mtu, kernel.show(ENDPOINT)[0]!.mtu]).toEqual([1446, 1446]);
    answer.mtu = 1400;
    await refresh();
    expect([kernel.show(CLIENT)[0]!.mtu, kernel.show(ENDPOINT)[0]!.mtu]).toEqual([1400, 1400]);
  });

  test("is not created when the context has routing policies, because they are not supported", async () => {
    const { sendRequest, answer, kernel, leftovers } = forwarder();
    const policy = { from: "10.0.0.1/32", proto: "6", dstPort: "80", srcPort: "", routes: [] };
    answer.ip = { ...answer.ip!, policies: [policy] };
    await expect(sendRequest()).rejects.toMatchObject({
      code: Code.Unimplemented,
      message: expect.stringContaining("1 routing policies"),
    });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("keeps an MTU that the client requested", async () => {
    const { sendRequest, kernel } = forwarder();
    await sendRequest({ context: { ...ConnectionContext.create(), MTU: 1500 } });
    expect(kernel.show(CLIENT)[0]!.mtu).toBe(1500);
  });

  test("routes destinations behind the endpoint through its address", async () => {
    const { sendRequest, answer, kernel } = forwarder();
    answer.ip = ipContext({ srcRoutes: [{ prefix: "192.168.7.9/16", nextHop: "" }] });
    await sendRequest();
    expect(kernel.show(CLIENT)[0]!.routes).toEqual([
      "10.0.0.0/32 link",
      "192.168.0.0/16 via 10.0.0.0 universe",
    ]);
  });

  test("has the far end's addresses as neighbors for payload IP", async () => {
    const { sendRequest, answer, kernel } = forwarder();
    answer.payload = Payload.Ip;
    await sendRequest();
    const [client, endpoint] = [kernel.show(CLIENT)[0]!.neighbors, kernel.show(ENDPOINT)[0]!.neighbors];
    expect(client).toEqual([expect.stringMatching(/^10\.0\.0\.0 (..:){5}.. permanent$/)]);
    expect(endpoint).toEqual([expect.stringMatching(/^10\.0\.0\.1 (..:){5}.. permanent$/)]);
  });

  test("has the neighbors of the context", async () => {
    const { sendRequest, refresh, answer, kernel } = forwarder();
    answer.ip = ipContext({ ipNeighbors: [{ ip: "10.0.0.9", hardwareAddress: "02:AA:00:00:00:01" }] });
    await sendRequest();
    expect(kernel.show(CLIENT)[0]!.neighbors).toEqual(["10.0.0.9 02:aa:00:00:00:01 reachable"]);
    answer.ip = ipContext();
    await refresh();
    expect(kernel.show(CLIENT)[0]!.neighbors).toEqual([]);
  });

  test("is not changed by a refresh without changes", async () => {
    const { sendRequest, refresh, answer, kernel } = forwarder();
    answer.payload = Payload.Ip;
    await sendRequest();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    await refresh();
    expect(kernel.operations.slice(done)).toEqual([]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("is changed by a refresh only where the context changes", async () => {
    const { sendRequest, refresh, answer, kernel } = forwarder();
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"] });
    await sendRequest();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    answer.ip = ipContext({
      srcIpAddrs: ["fd00:0::0001/128", "10.0.0.3/32"],
      dstRoutes: [{ prefix: "10.0.0.3/32", nextHop: "" }],
    });
    await refresh();
    expect(kernel.operations.slice(done)).toEqual([
      "addAddress 10.0.0.3/32",
      "removeAddress 10.0.0.1/32",
      "deleteRoute 10.0.0.1/32",
      "replaceRoute 10.0.0.3/32",
    ]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("is replaced when the endpoint changes its end", async () => {
    const { sendRequest, refresh, answer, kernel, close, leftovers } = forwarder();
    await sendRequest();
    kernel.add("/proc/300/ns/net");
    answer.mechanism = kernelMechanism("/proc/300/ns/net", "fw-2");
    await refresh();
    expect(kernel.show(ENDPOINT)).toEqual([]);
    expect(kernel.show("/proc/300/ns/net")).toMatchObject([{ name: "fw-2", addresses: ["10.0.0.0/32"] }]);
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1", addresses: ["10.0.0.1/32"] }]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["under another name", CLIENT, "other"],
    ["in another namespace", "/proc/101/ns/net", "nsm-1"],
  ])("is replaced when the client requests it %s", async (_how, path, name) => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT, "/proc/101/ns/net");
    const { sendRequest, refresh, close, leftovers } = forwarder({ kernel });
    await sendRequest();
    await refresh({ mechanism: kernelMechanism(path, name) });
    const clients = [...kernel.show(CLIENT), ...kernel.show("/proc/101/ns/net")];
    expect(clients).toMatchObject([{ name, addresses: ["10.0.0.1/32"] }]);
    expect(kernel.show(ENDPOINT)).toHaveLength(1);
    await close();
    expect([kernel.show(path), leftovers()]).toEqual([[], {}]);
  });

  test("is brought up again when another program took it down", async () => {
    const { sendRequest, refresh, kernel } = forwarder();
    await sendRequest();
    kernel.change(CLIENT, "nsm-1", { up: false });
    await refresh();
    expect(kernel.show(CLIENT)).toMatchObject([{ up: true }]);
  });

  test("is created again when its ends lead elsewhere", async () => {
    const { sendRequest, refresh, kernel } = forwarder();
    await sendRequest();
    const [client, endpoint] = [kernel.show(CLIENT)[0]!, kernel.show(ENDPOINT)[0]!];
    await kernel.open(CLIENT).deleteLink("nsm-1");
    kernel.add("/proc/300/ns/net");
    const end = (path: string, { name, alias }: { name: string; alias: string | undefined }) => ({
      namespace: kernel.open(path),
      name,
      alias: alias ?? "",
      mac: "02:00:00:00:00:01",
    });
    await kernel.createVeth(end(CLIENT, client), end("/proc/300/ns/net", { name: "x", alias: "x" }));
    await kernel.createVeth(end("/proc/300/ns/net", { name: "y", alias: "y" }), end(ENDPOINT, endpoint));
    await refresh();
    expect(kernel.show("/proc/300/ns/net")).toEqual([]);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[client], [endpoint]]);
  });

  test("is created again when another program deleted it", async () => {
    const { sendRequest, refresh, kernel } = forwarder();
    await sendRequest();
    const link = await kernel.open(CLIENT).link("nsm-1");
    await kernel.open(CLIENT).deleteLink(link.index);
    await refresh();
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1", addresses: ["10.0.0.1/32"] }]);
  });

  test("is not touched for another mechanism", async () => {
    const { sendRequest, kernel, downstream } = forwarder();
    await sendRequest({ mechanism: Mechanism.create({ cls: "LOCAL", type: "MEMIF" }) });
    expect([downstream.calls, kernel.operations]).toEqual([["request"], []]);
  });

  test("may pass the same namespace twice on one path", async () => {
    const { sendRequest, answer, kernel, close, leftovers } = forwarder();
    const first = await sendRequest();
    // A pass-through endpoint in the client's own namespace requests the rest of the path from the same
    // forwarder.
    const segments = first.path!.pathSegments;
    const through = { ...segments[0]!, name: "through", id: "through-id" };
    answer.mechanism = kernelMechanism(ENDPOINT, "fw-2");
    const second = await sendRequest({
      id: "through-id",
      path: { index: 2, pathSegments: [...segments, through] },
      mechanism: kernelMechanism(CLIENT, "nsm-2"),
    });
    expect(kernel.show(CLIENT)).toMatchObject([
      { name: "nsm-1", alias: `server-${ID}` },
      { name: "nsm-2", alias: `server-${ID}-1` },
    ]);
    await close(second);
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1" }]);
    await close(first);
    expect(leftovers()).toEqual({});
  });
});

test("cross-connect does not touch an interface of another kind, whatever its name", async () => {
  const { sendRequest, kernel } = forwarder();
  kernel.addLink(CLIENT, "nsm-1");
  kernel.change(CLIENT, "nsm-1", { alias: `server-${ID}` });
  await expect(sendRequest()).rejects.toMatchObject({ code: Code.AlreadyExists });
});
