import { lastValueFrom, toArray } from "rxjs";
import {
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  type NetworkServiceEndpointResponse,
} from "../../src/api/index.js";
import {
  Context,
  type DebugState,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../../src/core/index.js";
import { insecureTokens, type TokenGenerator } from "../../src/identity/index.js";
import {
  nsmgrRegistry,
  registry,
  type NsmgrRegistry,
  type RegistryServices,
} from "../../src/chains/registry/index.js";
import { registryClient, type RegistryClient } from "../../src/chains/registry-client/index.js";
import { memoryNetwork, type MemoryNetwork } from "../../src/memory/index.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";

export const REGISTRY = "tcp://registry:5002";

export const idOf = (name: string): string => `spiffe://example.org/${name}`;

/** A process of the mesh. `kill` ends it like SIGKILL, without notifying other programs. */
export interface Process {
  readonly name: string;
  debugState(): DebugState;
  kill(): void;
}

/** Processes around a registry, in one network and with one clock. */
export interface RegistryMesh {
  readonly clock: VirtualClock;
  readonly ctx: Context;
  readonly network: MemoryNetwork;
  registry(options?: { readonly defaultExpirationMs?: number }): Process & RegistryServices;
  /** A manager at `tcp://NAME:5001`. */
  nsmgr(name: string, options?: { readonly withRegistry?: boolean }): Process & NsmgrRegistry;
  client(name: string, url: string): Process & RegistryClient;
  /** The current entries of a registry. */
  found(
    registry: EndpointRegistry,
    like?: Partial<NetworkServiceEndpoint>,
  ): Promise<NetworkServiceEndpoint[]>;
  /** The resources that all running processes, the network and the clock hold. */
  leftovers(): DebugState;
  killAll(): void;
}

export function registryMesh(): RegistryMesh {
  const clock = virtualClock();
  const ctx = Context.background({ clock });
  const network = memoryNetwork({ clock, random: seeded(7) });
  const running = new Set<Process>();

  const process = <S extends { debugState(): DebugState }>(
    name: string,
    start: (surroundings: {
      readonly until: AbortSignal;
      readonly tokens: TokenGenerator;
      readonly remotes: ReturnType<MemoryNetwork["remotes"]>;
    }) => { readonly services: S; readonly close?: () => void },
  ): Process & S => {
    const program = new AbortController();
    const tokens = insecureTokens({ clock, subject: idOf(name) });
    const remotes = network.remotes({ name, tokens, spiffeId: idOf(name) });
    const { services, close } = start({ until: program.signal, tokens, remotes });
    const self: Process & S = {
      ...services,
      name,
      kill() {
        running.delete(self);
        program.abort();
        close?.();
        remotes.close();
      },
    };
    running.add(self);
    return self;
  };

  return {
    clock,
    ctx,
    network,
    registry: (options = {}) =>
      process("registry", ({ until, tokens }) => {
        const services = registry({ tokens, until, ...options });
        const server = network.listen(REGISTRY, services, { spiffeId: idOf("registry") });
        return { services, close: () => server.close() };
      }),
    nsmgr: (name, { withRegistry = true } = {}) =>
      process(name, ({ until, tokens, remotes }) => {
        const url = `tcp://${name}:5001`;
        const registryUrl = withRegistry ? REGISTRY : undefined;
        const services = nsmgrRegistry({ url, registryUrl, remotes, tokens, until, env: {} });
        const server = network.listen(url, services, { spiffeId: idOf(name) });
        return { services, close: () => server.close() };
      }),
    client: (name, url) =>
      process(name, ({ until, remotes }) => ({
        services: registryClient({ remotes, url, until, random: () => 0 }),
      })),
    async found(registry, like) {
      const networkServiceEndpoint = like && NetworkServiceEndpoint.create(like as object);
      const all = await lastValueFrom(
        registry.find(ctx, { networkServiceEndpoint, watch: false }).pipe(toArray()),
      );
      return all.map((found) => found.networkServiceEndpoint!);
    },
    leftovers() {
      const held = [...running].map((one) => [one.name, one.debugState()] as const);
      const { calls } = network.debugState();
      return Object.fromEntries([
        ...held.filter(([, state]) => Object.keys(state).length > 0),
        ...(calls ? [["calls", calls]] : []),
        ...(clock.timers > 0 ? [["timers", clock.timers]] : []),
      ]) as DebugState;
    },
    killAll: () => running.forEach((one) => one.kill()),
  };
}

/** Random numbers that are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The entry that an endpoint of `icmp` registers. */
export function nse(name: string, patch: Partial<NetworkServiceEndpoint> = {}): NetworkServiceEndpoint {
  return {
    ...NetworkServiceEndpoint.create({
      name,
      networkServiceNames: ["icmp"],
      networkServiceLabels: { icmp: { labels: { app: name } } },
      url: `tcp://${name}:6001`,
    }),
    ...patch,
  };
}

export const ns = (name: string): NetworkServiceEntry => NetworkServiceEntry.create({ name });

export async function services(
  ctx: Context,
  registry: NetworkServiceRegistry,
): Promise<readonly NetworkServiceEntry[]> {
  const query = { networkService: undefined, watch: false };
  const all = await lastValueFrom(registry.find(ctx, query).pipe(toArray()));
  return all.map(({ networkService }) => networkService!);
}

/** `+name url` and `-name url`. */
export function changesOf(seen: readonly NetworkServiceEndpointResponse[]): string[] {
  return seen.map(
    ({ deleted, networkServiceEndpoint: entry }) => `${deleted ? "-" : "+"}${entry!.name} ${entry!.url}`,
  );
}

/** A query that watches the endpoints like this one, or all endpoints. */
export const watchQuery = (like?: Parameters<typeof nse>[1]) => ({
  networkServiceEndpoint: like
    ? nse("", { networkServiceNames: [], networkServiceLabels: {}, url: "", ...like })
    : undefined,
  watch: true,
});
