import { MechanismType, NetworkServiceRequest, type Connection, type Mechanism } from "../../api/index.js";
import { client, type ClientOptions } from "../../chains/client/index.js";
import {
  serveEndpoint,
  type ServedEndpoint,
  type ServeEndpointOptions,
} from "../../chains/endpoint/index.js";
import { forwarder, type ForwarderOptions } from "../../chains/forwarder/index.js";
import { nsmgr, type NsmgrOptions } from "../../chains/nsmgr/index.js";
import { registry, type RegistryOptions } from "../../chains/registry/index.js";
import {
  Context,
  endpointRegistryChain,
  type Clock,
  type DebugState,
  type Elements,
  type NetworkService,
} from "../../core/index.js";
import { recvFdClient } from "../../registry/elements/recv-fd/index.js";
import { pointToPointIpam } from "../../elements/ipam/point-to-point/index.js";
import { kernelServer } from "../../elements/mechanisms/kernel/index.js";
import { mechanismsServer } from "../../elements/mechanisms/index.js";
import type { MemoryNetwork } from "../../memory/index.js";
import { freezing } from "../frozen.js";
import type { VirtualClock } from "../virtual-clock.js";
import { grpcTransport, memoryTransport, memoryParts } from "./transport.js";
import { createProcess, type KillableProcess, type Process } from "./process.js";

/** Transport and tokens of a mesh. */
export interface MeshOptions {
  /** `memory`: one process, virtual time, faults on demand. `grpc`: unix sockets and real time. */
  readonly transport: "memory" | "grpc";
  /** How long tokens live, in milliseconds. Default: 600,000. */
  readonly maxTokenLifetimeMs?: number | undefined;
  /** What differs in the registry: your own elements and replacements. */
  readonly registry?: Pick<RegistryOptions, "elements" | "replace" | "limits"> | undefined;
  /** What differs in the manager: your own elements, replacements, the choice of forwarders. */
  readonly nsmgr?: Pick<NsmgrOptions, "elements" | "replace" | "registry" | "chooseForwarder"> | undefined;
  /** What differs in every forwarder: your own elements and replacements. */
  readonly forwarder?: Pick<ForwarderOptions, "elements" | "replace"> | undefined;
}

/** Time and faults of a mesh in memory. */
export interface MeshVirtual {
  readonly clock: VirtualClock;
  readonly network: MemoryNetwork;
}

/** A process of the mesh. It can be killed and restarted at the same address. */
export interface MeshNode {
  readonly name: string;
  readonly url: string;
  /** What its chain holds; `{}` while the process is down. */
  debugState(): DebugState;
  /** Like kill -9: closes nothing, notifies no peer, and loses all state. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** An endpoint of the mesh. */
export interface MeshEndpoint extends MeshNode {
  /** Unregisters the endpoint and stops it. */
  close(): Promise<void>;
}

/** Options of an endpoint of the mesh. */
export interface MeshEndpointOptions {
  readonly name: string;
  readonly service: string;
  /** Prefixes to allocate from. Default: `10.0.0.0/24`. */
  readonly prefix?: string | undefined;
  /** Allocates its addresses. Default: a pointToPointIpam() with `prefix`. */
  readonly ipam?: Elements<NetworkService> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** In front of IPAM and mechanism. */
  readonly elements?: Elements<NetworkService> | undefined;
}

/** A client of the mesh. */
export interface MeshClient {
  readonly name: string;
  /** Requests a service. Pass the returned connection to refresh it. */
  request(service: string, connection?: Partial<Connection>): Promise<Connection>;
  close(connection: Connection): Promise<void>;
  debugState(): DebugState;
  /** Like kill -9. */
  kill(): void;
}

/** Options of a client of the mesh. */
export type MeshClientOptions = Pick<ClientOptions, "heal" | "elements" | "reselect"> & {
  readonly name?: string | undefined;
};

/** Registry, nsmgr and forwarder in one process, and whatever endpoints and clients a test adds. */
export interface Mesh<Virtual extends MeshVirtual | undefined = MeshVirtual | undefined> {
  readonly clock: Clock;
  /** Time and faults of a memory mesh; undefined on sockets. */
  readonly virtual: Virtual;
  readonly registry: MeshNode;
  readonly nsmgr: MeshNode;
  readonly forwarder: MeshEndpoint;
  /** Adds a second forwarder. */
  addForwarder(name: string): Promise<MeshEndpoint>;
  endpoint(options: MeshEndpointOptions): Promise<MeshEndpoint>;
  client(options?: MeshClientOptions): MeshClient;
  /** Kills all processes that still run. In a memory mesh, no timer, call or listener remains. */
  stop(): Promise<void>;
}

// All chains of all processes use it.
const trace = freezing;

interface Holding {
  debugState(): DebugState;
  close(): Promise<void>;
}

/**
 * Starts a whole mesh in one process: registry, nsmgr and forwarder. Tests add endpoints and clients. Over
 * memory, time is virtual and nothing leaves the process; over gRPC, it listens on real sockets. Every
 * message between elements is frozen: an element that writes to one throws.
 *
 * @example
 * import { mesh } from "nsm-sdk/testing";
 *
 * const { client, endpoint, stop, virtual } = await mesh({ transport: "memory" });
 * await endpoint({ name: "nse-1", service: "firewall" });
 * const nsc = client();
 * const connection = await nsc.request("firewall");
 * await virtual.clock.advance(3_600_000);
 * await stop();
 */
export function mesh(options: MeshOptions & { readonly transport: "memory" }): Promise<Mesh<MeshVirtual>>;
/** On sockets, in real time. */
export function mesh(options: MeshOptions & { readonly transport: "grpc" }): Promise<Mesh<undefined>>;
/** Either. */
export function mesh(options: MeshOptions): Promise<Mesh>;
export async function mesh(options: MeshOptions): Promise<Mesh> {
  const virtual = options.transport === "memory" ? memoryParts() : undefined;
  const transport = virtual ? memoryTransport(virtual, options) : grpcTransport(options);
  const started = new Set<{ kill(): Promise<void> | void }>();

  /** A process that loses its state at each restart. */
  async function node(name: string, run: (process: Process) => Promise<Holding>): Promise<MeshNode> {
    let process: KillableProcess | undefined;
    let running: Holding | undefined;
    const self = {
      name,
      url: transport.address(name),
      debugState: () => running?.debugState() ?? {},
      async start() {
        process = createProcess(name, transport);
        started.add(self);
        running = await run(process);
      },
      async kill() {
        started.delete(self);
        process?.end();
        const ended = running;
        running = undefined;
        await ended?.close();
      },
    };
    await self.start();
    return self;
  }

  const domain = await node("registry", async (process) => {
    const chain = registry({
      ...options.registry,
      tokens: transport.identity("registry").tokens,
      until: process.until,
      trace,
    });
    const server = await transport.serve(process, transport.address("registry"), chain);
    return { close: server.close, debugState: chain.debugState };
  });

  const manager = await node("nsmgr", async (process) => {
    const url = transport.address("nsmgr");
    const chain = nsmgr({
      ...options.nsmgr,
      name: "nsmgr",
      url,
      registryUrl: transport.address("registry"),
      remotes: process.remotes,
      tokens: transport.identity("nsmgr").tokens,
      until: process.until,
      trace,
    });
    const server = await transport.serve(process, url, chain);
    return { close: server.close, debugState: chain.debugState };
  });

  /** An endpoint or a forwarder: registered, and called over the mesh. */
  async function registered(
    own: Pick<ServeEndpointOptions, "name" | "services" | "labels" | "registerServices">,
    chain: (process: Process) => Pick<ServeEndpointOptions, "elements" | "chain">,
  ): Promise<MeshEndpoint> {
    let served: ServedEndpoint | undefined;
    const made = await node(own.name, async (process) => {
      let closeServer!: () => Promise<void>;
      served = await serveEndpoint({
        ...own,
        connectTo: manager.url,
        listenOn: [transport.address(own.name)],
        identity: transport.identity(own.name),
        clock: process.clock,
        ...chain(process),
        trace,
        transport: {
          remotes: process.remotes,
          async serve([url], services) {
            const server = await transport.serve(process, url!, services);
            closeServer = server.close;
            return { listenOn: [url!], debugState: () => ({}), close: server.close };
          },
        },
      });
      return { debugState: served.debugState, close: closeServer };
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
      { name, services: ["forwarder"], labels: { p2p: "true" }, registerServices: false },
      ({ remotes, until }) => {
        const { networkServices, endpoints: remote } = remotes.to(manager.url);
        const endpoints = endpointRegistryChain([recvFdClient({ until })], { tail: remote });
        const { tokens } = transport.identity(name);
        const own = { name, tokens, networkServices, endpoints, remotes, until, trace };
        return { chain: forwarder({ ...options.forwarder, ...own }) };
      },
    );

  return {
    clock: transport.clock,
    virtual,
    registry: domain,
    nsmgr: manager,
    forwarder: await addForwarder("forwarder"),
    addForwarder,
    endpoint: ({ name, service, prefix = "10.0.0.0/24", ipam, labels, elements = [] }) =>
      registered({ name, services: [service], labels }, () => ({
        elements: [
          elements,
          ipam ?? pointToPointIpam({ prefixes: [prefix] }),
          mechanismsServer({ [MechanismType.Kernel]: [kernelServer()] }),
        ],
      })),
    client({ name = "nsc", ...more } = {}) {
      const process = createProcess(name, transport);
      const { until, remotes } = process;
      const ctx = Context.background({ signal: until, clock: process.clock });
      const nsc = client({ ...more, name, url: manager.url, remotes, until, trace });
      const self: MeshClient = {
        name,
        request: (networkService, connection = {}) =>
          ctx.withTimeout(15_000, (c) =>
            nsc.networkService.request(c, wanted(name, networkService, connection)),
          ),
        close: (connection) => ctx.withTimeout(15_000, (c) => nsc.networkService.close(c, connection)),
        debugState: nsc.debugState,
        kill() {
          started.delete(self);
          process.end();
        },
      };
      started.add(self);
      return self;
    },
    async stop() {
      for (const process of [...started].reverse()) await process.kill();
      transport.stop();
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
