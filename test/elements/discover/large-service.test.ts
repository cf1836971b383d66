import { concat, from, NEVER } from "rxjs";
import { afterEach, describe, expect, test } from "vitest";
import { Match, NetworkServiceEndpoint, NetworkServiceEntry } from "../../../src/api/index.js";
import {
  Code,
  endpointRegistryChain,
  networkServiceRegistryChain,
  NsmError,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { discover } from "../../../src/elements/discover/index.js";
import { roundRobin } from "../../../src/elements/round-robin/index.js";
import { checkContext, recorder, run, sampleRequest } from "../../../src/testing/index.js";
import { cache } from "../../../src/registry/elements/cache/index.js";
import { endpointKind, networkServiceKind } from "../../../src/registry/kinds.js";
import { memoryNetworkServices } from "../../../src/registry/stores/memory/index.js";

let program = new AbortController();
afterEach(() => {
  program.abort();
  program = new AbortController();
});

/**
 * A forwarder's discovery with a filled cache of this many endpoints, each labeled with its number and its
 * color.
 */
async function largeService(count: number, selector: Record<string, string>) {
  const until = program.signal;
  let examined = 0;
  const all = Array.from({ length: count }, (_, i) => {
    const made = NetworkServiceEndpoint.create({
      name: `nse-${i}`,
      networkServiceNames: ["icmp"],
      url: `tcp://${i}`,
    });
    const labels = {
      icmp: {
        labels: { number: `${i}`, colour: i % 2 === 0 ? "even" : "odd" },
      },
    };
    return Object.defineProperty(made, "networkServiceLabels", {
      get() {
        examined++;
        return labels;
      },
    });
  });
  const registry: EndpointRegistry = {
    register: (_ctx, entry) => Promise.resolve(entry),
    unregister: () => Promise.resolve(),
    find: (_ctx, { watch }) => {
      const found = from(
        all.map((networkServiceEndpoint) => ({
          networkServiceEndpoint,
          deleted: false,
        })),
      );
      return watch ? concat(found, NEVER) : found;
    },
  };
  const networkServices = networkServiceRegistryChain([
    cache({ kind: networkServiceKind, until }),
    memoryNetworkServices(),
  ]);
  const endpoints = endpointRegistryChain([cache({ kind: endpointKind, until })], { tail: registry });
  const seen = recorder();
  const refusing = new Set<string>();
  const refuse = checkContext((_ctx, _method, arg) => {
    const { networkServiceEndpointName: name } = (
      arg as { connection: { networkServiceEndpointName: string } }
    ).connection;
    if (refusing.has(name)) throw new NsmError(Code.ResourceExhausted, `${name} is full`);
  });
  const { clock, ctx, send } = run([
    connectionState(),
    discover({ networkServices, endpoints }),
    roundRobin(),
    refuse,
    seen,
  ]);
  const matches = [Match.create({ routes: [{ destinationSelector: selector }] })];
  await networkServices.register(ctx, NetworkServiceEntry.create({ name: "icmp", payload: "IP", matches }));
  let ids = 0;
  const connect = async (labels: Record<string, string> = {}): Promise<string> => {
    const connection = {
      ...sampleRequest(clock.now(), { id: `c${ids++}`, labels }).connection!,
      networkService: "icmp",
      payload: "",
      networkServiceEndpointName: "",
    };
    await send({ ...sampleRequest(clock.now()), connection });
    return seen.requests.at(-1)!.connection!.networkServiceEndpointName;
  };
  await connect({ wanted: "1" });
  await clock.settle();
  return {
    connect,
    refusing,
    /** Number of reads of endpoint labels since the last call. */
    examined(): number {
      const count = examined;
      examined = 0;
      return count;
    },
  };
}

describe("discover in a service with many endpoints", () => {
  test("checks only a few of them for each new connection", async () => {
    const { connect, examined } = await largeService(10_000, { colour: "odd" });
    examined();
    await connect();
    expect(examined()).toBeLessThan(100);
  });

  test("rotates through all matching endpoints", async () => {
    const { connect } = await largeService(200, { colour: "odd" });
    const names = new Set<string>();
    for (let i = 0; i < 100; i++) names.add(await connect());
    expect(names.size).toBe(100);
    expect([...names].every((name) => Number(name.slice(4)) % 2 === 1)).toBe(true);
  });

  test("finds the only matching endpoint, also by a template", async () => {
    const { connect, examined } = await largeService(10_000, {
      number: "{{.wanted}}",
    });
    examined();
    expect(await connect({ wanted: "7777" })).toBe("nse-7777");
    expect(examined()).toBeLessThan(10);
    await expect(connect({ wanted: "none" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });

  test("continues with the next candidate when one rejects", async () => {
    const { connect, refusing } = await largeService(100, {});
    const next = await connect();
    const after = `nse-${(Number(next.slice(4)) + 1) % 100}`;
    refusing.add(after);
    expect(await connect()).toBe(`nse-${(Number(next.slice(4)) + 2) % 100}`);
  });
});
