import { unlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Code, type ChainElement, type EndpointRegistry } from "../../../src/core/index.js";
import { inodeUrlOf } from "../../../src/linux/index.js";
import { attachments } from "../../../src/outbound/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { sendFd } from "../../../src/registry/elements/send-fd/index.js";
import { describeRegistryElement, runRegistry, type RegistryRun } from "../../../src/testing/index.js";
import { descriptorCount, descriptorsDownTo } from "../../linux/descriptor-kit.js";
import { Sockets } from "../socket-kit.js";
import { failSwitch } from "../support.js";

const registryUrl = "unix:///run/nsm.sock";

/** A call as the registry gets it: the URL of the endpoint, and what its descriptors name. */
interface Arrived {
  readonly url: string;
  readonly sent: readonly string[];
}

let sockets: Sockets;
let before: number;
let url: string;

beforeEach(async () => {
  before = descriptorCount();
  sockets = new Sockets();
  url = await sockets.listen("nse");
});
afterEach(async () => {
  await sockets.remove();
  await descriptorsDownTo(before);
});

describeRegistryElement("send-fd", () => sendFd({ registryUrl }), {
  entry: {
    get url() {
      return url;
    },
  },
});

describe("send-fd", () => {
  let arrived: Arrived[];
  let broken: ReturnType<typeof failSwitch>;

  const registry: ChainElement<EndpointRegistry> = {
    name: "registry",
    async register(ctx, endpoint, next) {
      arrived.push({ url: endpoint.url, sent: (ctx.get(attachments) ?? []).map(inodeUrlOf) });
      return next.register(ctx, endpoint);
    },
    async unregister(ctx, endpoint, next) {
      arrived.push({ url: endpoint.url, sent: (ctx.get(attachments) ?? []).map(inodeUrlOf) });
      return next.unregister(ctx, endpoint);
    },
  };
  const over = (target: string): RegistryRun => {
    broken = failSwitch();
    return runRegistry([registrationState(), sendFd({ registryUrl: target }), registry, broken]);
  };
  beforeEach(() => {
    arrived = [];
  });

  test("registers the socket itself, by its descriptor, and answers with the path", async () => {
    const { register, unregister, leftovers } = over(registryUrl);
    expect((await register({ url })).url).toBe(url);
    expect((await register({ url })).url).toBe(url);
    await unregister();
    const named = arrived[0]!.url;
    expect(named).toMatch(/^inode:\/\/\d+\/\d+$/);
    expect(arrived).toEqual(Array.from({ length: 3 }, () => ({ url: named, sent: [named] })));
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["on TCP", registryUrl, "tcp://127.0.0.1:5001"],
    ["at a registry on TCP", "tcp://127.0.0.1:5002", undefined],
  ])("forwards an endpoint %s unchanged", async (_where, target, own = url) => {
    const { register, unregister } = over(target);
    expect((await register({ url: own })).url).toBe(own);
    await unregister();
    expect(arrived).toEqual([
      { url: own, sent: [] },
      { url: own, sent: [] },
    ]);
  });

  test("fails at once if the socket file cannot be opened, and names path and reason", async () => {
    const { register, leftovers } = over(registryUrl);
    await expect(register({ name: "nse-1", url: `${url}-gone` })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringMatching(/^cannot open the socket unix:.*-gone of endpoint nse-1: .*ENOENT/),
    });
    expect(arrived).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("unregisters what it registered although the file is gone or another one", async () => {
    const { register, unregister } = over(registryUrl);
    const endpoint = await register({ url });
    unlinkSync(url.slice("unix://".length));
    await unregister(endpoint);
    expect(arrived[1]).toEqual({ url: arrived[0]!.url, sent: [] });

    await sockets.listen("nse");
    await register({ url });
    unlinkSync(url.slice("unix://".length));
    await sockets.listen("nse");
    await unregister(endpoint);
    expect(arrived[3]!.url).toBe(arrived[2]!.url);
  });

  test("unregisters an endpoint whose Register was lost on the way back", async () => {
    const { register, unregister } = over(registryUrl);
    broken.on = true;
    await expect(register({ url })).rejects.toThrow();
    broken.on = false;
    await unregister({ ...(await register({ url: "tcp://127.0.0.1:1" })), url });
    expect(arrived.at(-1)).toEqual(arrived[0]);
  });
});
