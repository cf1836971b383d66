import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MechanismType, NetworkServiceRequest, type Connection, type Mechanism } from "../api/index.js";
import { client, type ClientOptions } from "../chains/client/index.js";
import { serveEndpoint, type ServedEndpoint } from "../chains/endpoint/index.js";
import { forwarderElements } from "../chains/forwarder/index.js";
import { nsmgr } from "../chains/nsmgr/index.js";
import { registryChain } from "../chains/registry/index.js";
import {
  Context,
  systemClock,
  type Clock,
  type DebugState,
  type Elements,
  type Links,
  type NetworkService,
} from "../core/index.js";
import { pointToPointIpam } from "../elements/ipam/point-to-point/index.js";
import { kernelClient, kernelServer } from "../elements/mechanisms/kernel/index.js";
import { mechanismsServer } from "../elements/mechanisms/index.js";
import { insecureIdentity, type Identity } from "../identity/index.js";
import { grpcServer, type Services } from "../inbound/index.js";
import { grpcLinks, memoryNetwork, type MemoryNetwork } from "../outbound/index.js";
import { virtualClock, type VirtualClock } from "./virtual-clock.js";

/** What a mesh runs on. */
export interface MeshOptions {
  /** `memory`: one process, virtual time, faults on demand. `grpc`: unix sockets and real time. */
  readonly link: "memory" | "grpc";
  /** How long tokens live; 600,000 when left out. */
  readonly maxTokenLifetimeMs?: number;
}

/** A process of the mesh that can be killed and started again at the same address. */
export interface MeshNode {
  readonly name: string;
  readonly url: string;
  /** What its chain holds; `{}` while it is down. */
  debugState(): DebugState;
  /** As kill -9: nothing is closed, nobody is told, all it knew is lost. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** An endpoint of the mesh. */
export interface MeshEndpoint extends MeshNode {
  /** Takes itself out of the registry and stops. */
  close(): Promise<void>;
}

/** How an endpoint of the mesh is made. */
export interface MeshEndpointOptions {
  readonly name: string;
  readonly service: string;
  /** Addresses it hands out; `10.0.0.0/24` when left out. */
  readonly prefix?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** In front of IPAM and mechanism. */
  readonly elements?: Elements<NetworkService>;
}

/** A client of the mesh. */
export interface MeshClient {
  readonly name: string;
  /** Asks for a service; ask again with what it returned to refresh. */
  request(service: string, connection?: Partial<Connection>): Promise<Connection>;
  close(connection: Connection): Promise<void>;
  debugState(): DebugState;
  /** As kill -9. */
  kill(): void;
}

/** How a client of the mesh is made. */
export type MeshClientOptions = Pick<ClientOptions, "heal" | "elements" | "reselect"> & {
  readonly name?: string;
};

/** Registry, nsmgr and forwarder in one process, and whatever endpoints and clients a test adds. */
export interface Mesh {
  readonly clock: Clock;
  /** Time and faults of a memory mesh; undefined on sockets. */
  readonly virtual: { readonly clock: VirtualClock; readonly network: MemoryNetwork } | undefined;
  readonly registry: MeshNode;
  readonly nsmgr: MeshNode;
  readonly forwarder: MeshEndpoint;
  /** One more forwarder beside the first. */
  addForwarder(name: string): Promise<MeshEndpoint>;
  endpoint(options: MeshEndpointOptions): Promise<MeshEndpoint>;
  client(options?: MeshClientOptions): MeshClient;
  /** Kills all that still lives. In a memory mesh no timer, call or listener is left then. */
  stop(): Promise<void>;
}

/** Where processes of the mesh listen and how they reach one another. */
interface Ground {
  readonly clock: Clock;
  address(name: string): string;
  identity(name: string): Identity;
  links(name: string): Links;
  serve(name: string, url: string, services: Services): Promise<{ close(): Promise<void> }>;
  stop(): void;
}

/**
 * @example
 * const { client, endpoint, stop, virtual } = await mesh({ link: "memory" });
 * await endpoint({ name: "nse-1", service: "firewall" });
 * const nsc = client();
 * const connection = await nsc.request("firewall");
 * await virtual!.clock.advance(3_600_000);
 * await stop();
 */
export async function mesh(options: MeshOptions): Promise<Mesh> {
  const virtual = options.link === "memory" ? memoryParts() : undefined;
  const ground = virtual ? memoryGround(virtual, options) : grpcGround(options);
  const started = new Set<{ kill(): Promise<void> | void }>();

  /** A process made anew, with nothing remembered, at each start. */
  async function node(
    name: string,
    run: (life: AbortSignal, links: Links) => Promise<{ debugState(): DebugState; close(): Promise<void> }>,
  ): Promise<MeshNode & { running(): { debugState(): DebugState; close(): Promise<void> } | undefined }> {
    let life: AbortController | undefined;
    let links: Links | undefined;
    let running: { debugState(): DebugState; close(): Promise<void> } | undefined;
    const process = {
      name,
      url: ground.address(name),
      running: () => running,
      debugState: () => running?.debugState() ?? {},
      async start() {
        life = new AbortController();
        links = ground.links(name);
        started.add(process);
        running = await run(life.signal, links);
      },
      async kill() {
        started.delete(process);
        life?.abort();
        links?.close();
        const stopped = running;
        running = undefined;
        await stopped?.close();
      },
    };
    await process.start();
    return process;
  }

  const registry = await node("registry", async (until) => {
    const chain = registryChain({ tokens: ground.identity("registry").tokens, until });
    return {
      ...(await ground.serve("registry", ground.address("registry"), chain)),
      debugState: chain.debugState,
    };
  });

  const manager = await node("nsmgr", async (until, links) => {
    const url = ground.address("nsmgr");
    const chain = nsmgr({
      name: "nsmgr",
      url,
      registryUrl: ground.address("registry"),
      links,
      tokens: ground.identity("nsmgr").tokens,
      until,
    });
    return { ...(await ground.serve("nsmgr", url, chain)), debugState: chain.debugState };
  });

  /** An endpoint or a forwarder: registered, and asked over the mesh. */
  async function registered(
    name: string,
    service: string,
    labels: Readonly<Record<string, string>>,
    elements: (until: AbortSignal, links: Links) => Elements<NetworkService>,
    registerServices: boolean,
  ): Promise<MeshEndpoint> {
    let served: ServedEndpoint | undefined;
    const made = await node(name, async (until, links) => {
      let died: (() => Promise<void>) | undefined;
      served = await serveEndpoint({
        name,
        services: [service],
        labels,
        registerServices,
        connectTo: manager.url,
        listenOn: [ground.address(name)],
        identity: ground.identity(name),
        clock: ground.clock,
        elements: elements(until, links),
        transport: {
          links,
          async serve([url], services) {
            const server = await ground.serve(name, url!, services);
            died = () => server.close();
            return { listenOn: [url!], debugState: () => ({}), close: () => server.close() };
          },
        },
      });
      return { debugState: served.debugState, close: () => died!() };
    });
    return {
      ...made,
      async close() {
        await served?.close();
        await made.kill();
      },
    };
  }

  const addForwarder = (name: string): Promise<MeshEndpoint> =>
    registered(
      name,
      "forwarder",
      { p2p: "true" },
      (until, links) => {
        const { networkServices, endpoints } = links.to(manager.url);
        return forwarderElements({
          name,
          networkServices,
          endpoints,
          links,
          until,
          mechanisms: {
            server: [mechanismsServer({ [MechanismType.Kernel]: [] })],
            client: [kernelClient()],
          },
        });
      },
      false,
    );

  return {
    clock: ground.clock,
    virtual,
    registry,
    nsmgr: manager,
    forwarder: await addForwarder("forwarder"),
    addForwarder,
    endpoint: ({ name, service, prefix = "10.0.0.0/24", labels = {}, elements = [] }) =>
      registered(
        name,
        service,
        labels,
        () => [
          elements,
          pointToPointIpam({ prefixes: [prefix] }),
          mechanismsServer({ [MechanismType.Kernel]: [kernelServer()] }),
        ],
        true,
      ),
    client({ name = "nsc", ...more } = {}) {
      const life = new AbortController();
      const links = ground.links(name);
      const ctx = Context.background({ signal: life.signal, clock: ground.clock });
      const nsc = client({ ...more, name, url: manager.url, links, until: life.signal });
      const process: MeshClient = {
        name,
        request: (networkService, connection = {}) =>
          ctx.withTimeout(15_000, (c) =>
            nsc.networkService.request(c, wanted(name, networkService, connection)),
          ),
        close: (connection) => ctx.withTimeout(15_000, (c) => nsc.networkService.close(c, connection)),
        debugState: nsc.debugState,
        kill() {
          started.delete(process);
          life.abort();
          links.close();
        },
      };
      started.add(process);
      return process;
    },
    async stop() {
      for (const process of [...started].reverse()) await process.kill();
      ground.stop();
    },
  };
}

function wanted(
  client: string,
  networkService: string,
  connection: Partial<Connection>,
): NetworkServiceRequest {
  const preference: Mechanism = { cls: "LOCAL", type: MechanismType.Kernel, parameters: {} };
  const request = NetworkServiceRequest.create({ mechanismPreferences: [preference] });
  return {
    ...request,
    connection: { ...emptyConnection(`${client}-0`, networkService), ...connection },
  };
}

function emptyConnection(id: string, networkService: string): Connection {
  return NetworkServiceRequest.create({ connection: { id, networkService } }).connection!;
}

function memoryParts(): { clock: VirtualClock; network: MemoryNetwork } {
  const clock = virtualClock();
  return { clock, network: memoryNetwork({ clock }) };
}

function memoryGround(
  { clock, network }: { clock: VirtualClock; network: MemoryNetwork },
  { maxTokenLifetimeMs }: MeshOptions,
): Ground {
  const identity = identities(clock, maxTokenLifetimeMs);
  return {
    clock,
    identity,
    address: (name) => `tcp://${name}:1`,
    links: (name) => network.links({ name, tokens: identity(name).tokens }),
    serve: async (name, url, services) => {
      const server = network.listen(url, services, { name });
      return { close: async () => server.close() };
    },
    stop: () => {},
  };
}

function grpcGround({ maxTokenLifetimeMs }: MeshOptions): Ground {
  const folder = mkdtempSync(join(tmpdir(), "nsm-mesh-"));
  const identity = identities(systemClock, maxTokenLifetimeMs);
  return {
    clock: systemClock,
    identity,
    address: (name) => `unix://${folder}/${name}.sock`,
    links: (name) => grpcLinks({ identity: identity(name) }),
    serve: (name, url, services) => grpcServer({ identity: identity(name), listenOn: [url], services }),
    stop: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** One identity a process, the same over its restarts. */
function identities(clock: Clock, maxLifetimeMs: number | undefined): (name: string) => Identity {
  const known = new Map<string, Identity>();
  return (name) => {
    const identity =
      known.get(name) ??
      insecureIdentity({ clock, subject: `spiffe://mesh/${name}`, ...(maxLifetimeMs && { maxLifetimeMs }) });
    known.set(name, identity);
    return identity;
  };
}
