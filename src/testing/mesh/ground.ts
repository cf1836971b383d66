import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd, systemClock, type Clock, type Links } from "../../core/index.js";
import { insecureIdentity, type Identity } from "../../identity/index.js";
import { grpcServer, type Services } from "../../inbound/index.js";
import { grpcLinks, memoryNetwork, type MemoryNetwork } from "../../outbound/index.js";
import { virtualClock, type VirtualClock } from "../virtual-clock.js";
import type { Process } from "./process.js";

/** What is the same for all processes. */
export interface GroundOptions {
  readonly maxTokenLifetimeMs?: number;
}

/** Where processes of the mesh listen and how they reach one another. */
export interface Ground {
  readonly clock: Clock;
  address(name: string): string;
  identity(name: string): Identity;
  links(name: string): Links;
  serve(process: Process, url: string, services: Services): Promise<{ close(): Promise<void> }>;
  stop(): void;
}

/** Time and network of a mesh in memory. */
export function memoryParts(): { clock: VirtualClock; network: MemoryNetwork } {
  const clock = virtualClock();
  return { clock, network: memoryNetwork({ clock }) };
}

/** All in this process, in virtual time. */
export function memoryGround(
  { clock, network }: { clock: VirtualClock; network: MemoryNetwork },
  { maxTokenLifetimeMs }: GroundOptions,
): Ground {
  const identity = identities(clock, maxTokenLifetimeMs);
  return {
    clock,
    identity,
    address: (name) => `tcp://${name}:1`,
    links: (name) => network.links({ name, tokens: identity(name).tokens }),
    serve: async ({ name, clock: own, until }, url, services) => {
      const server = network.listen(url, services, { name, clock: own });
      // Also when it is killed while it starts.
      atEnd(until, () => server.close());
      return { close: async () => server.close() };
    },
    stop: () => {},
  };
}

/** Unix sockets in a folder of their own, in real time. */
export function grpcGround({ maxTokenLifetimeMs }: GroundOptions): Ground {
  const folder = mkdtempSync(join(tmpdir(), "nsm-mesh-"));
  const identity = identities(systemClock, maxTokenLifetimeMs);
  return {
    clock: systemClock,
    identity,
    address: (name) => `unix://${folder}/${name}.sock`,
    links: (name) => grpcLinks({ identity: identity(name) }),
    serve: ({ name, clock }, url, services) =>
      grpcServer({ identity: identity(name), listenOn: [url], services, clock }),
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
