import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock, type Remotes } from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { insecureIdentity, type Identity } from "../../identity/index.js";
import { grpcServer, type Services } from "../../inbound/index.js";
import { grpcRemotes } from "../../outbound/index.js";
import { memoryNetwork, type MemoryNetwork } from "../../memory/index.js";
import { virtualClock, type VirtualClock } from "../virtual-clock.js";
import type { Process } from "./process.js";

/** Options shared by all processes. */
export interface TransportOptions {
  readonly maxTokenLifetimeMs?: number | undefined;
}

/** How processes of the mesh listen and connect to each other. */
export interface Transport {
  readonly clock: Clock;
  address(name: string): string;
  identity(name: string): Identity;
  remotes(name: string): Remotes;
  serve(process: Process, url: string, services: Services): Promise<{ close(): Promise<void> }>;
  stop(): void;
}

/** Clock and network of an in-memory mesh. */
export function memoryParts(): { clock: VirtualClock; network: MemoryNetwork } {
  const clock = virtualClock();
  return { clock, network: memoryNetwork({ clock }) };
}

/** Runs everything in this process, in virtual time. */
export function memoryTransport(
  { clock, network }: { clock: VirtualClock; network: MemoryNetwork },
  { maxTokenLifetimeMs }: TransportOptions,
): Transport {
  const identity = identities(clock, maxTokenLifetimeMs);
  return {
    clock,
    identity,
    address: (name) => `tcp://${name}:1`,
    remotes: (name) => network.remotes({ name, tokens: identity(name).tokens }),
    serve: async ({ name, clock: own, until }, url, services) => {
      const server = network.listen(url, services, { name, clock: own });
      // Also runs if the process is killed while it starts.
      atEnd(until, () => server.close());
      return { close: async () => server.close() };
    },
    stop: () => {},
  };
}

/** Uses unix sockets in a temporary folder, in real time. */
export function grpcTransport({ maxTokenLifetimeMs }: TransportOptions): Transport {
  const folder = mkdtempSync(join(tmpdir(), "nsm-mesh-"));
  const identity = identities(systemClock, maxTokenLifetimeMs);
  return {
    clock: systemClock,
    identity,
    address: (name) => `unix://${folder}/${name}.sock`,
    remotes: (name) => grpcRemotes({ identity: identity(name) }),
    serve: ({ name, clock }, url, services) =>
      grpcServer({ identity: identity(name), listenOn: [url], services, clock }),
    stop: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** One identity per process, unchanged by restarts. */
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
