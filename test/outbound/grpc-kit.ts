import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { systemClock } from "../../src/core/index.js";
import { insecureIdentity, type Identity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import type { RemoteKit } from "./remote-kit.js";

/** What a kit of gRPC remotes is made of. */
export interface GrpcKitOptions {
  readonly over: "tcp" | "unix";
  /** The identity of a process. Default: insecure. */
  readonly identityOf?: (name: string) => Promise<Identity>;
}

/** Both ends of gRPC in this process, on loopback or on unix sockets in a folder of their own. */
export async function grpcKit({ over, identityOf }: GrpcKitOptions): Promise<RemoteKit> {
  const before = openSockets();
  const [client, server] = await Promise.all(
    ["client", "server"].map((name) => identityOf?.(name) ?? Promise.resolve(insecureIdentity())),
  );
  const folder = await mkdtemp(join(tmpdir(), "nsm-remote-"));
  const remotes = grpcRemotes({ identity: client! });
  const servers: Server[] = [];
  return {
    clock: systemClock,
    remotes,
    nowhere: over === "tcp" ? "tcp://127.0.0.1:1" : `unix://${folder}/nobody.sock`,
    async listen(services, logger) {
      const listening = await grpcServer({
        identity: server!,
        listenOn: [over === "tcp" ? "tcp://127.0.0.1:0" : `unix://${folder}/${servers.length}.sock`],
        services,
        graceMs: 0,
        ...(logger && { logger }),
      });
      servers.push(listening);
      return {
        url: listening.listenOn[0]!,
        setServing: (service, serving) => listening.setServing(service, serving),
        kill: () => listening.close(),
      };
    },
    // Time passes by itself.
    pass: async () => {},
    async close() {
      remotes.close();
      await Promise.all(servers.map((listening) => listening.close()));
      for (const listening of servers) expect(listening.debugState()).toEqual({});
      expect(remotes.debugState()).toEqual({});
      await socketsDownTo(before);
      expect(await readdir(folder)).toEqual([]);
      await rm(folder, { recursive: true });
      client!.close();
      server!.close();
    },
  };
}

const SOCKETS = new Set(["TCPSocketWrap", "TCPServerWrap", "PipeWrap", "PipeServerWrap", "TLSWrap"]);

/** How many sockets this process has open, vitest's own included. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => SOCKETS.has(kind)).length;
}

/** Resolves when no more sockets are open than that; closing takes some turns of the loop. */
export async function socketsDownTo(count: number): Promise<void> {
  while (openSockets() > count) await new Promise((resolve) => setImmediate(resolve));
}
