import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock, type Peer } from "../../src/core/index.js";
import { O_PATH } from "../../src/linux/constants.js";
import { inodeUrlOf } from "../../src/linux/index.js";
import { attachedPair, type AttachedPair } from "../../src/linux/sockets/attachments.js";

/** Listening sockets in a folder of their own. */
export class Sockets {
  readonly folder = mkdtempSync(join(tmpdir(), "nsm-files-"));
  private readonly servers: Server[] = [];

  /** A socket whose server answers with its name. Returns its URL. */
  async listen(name: string): Promise<string> {
    const server = createServer((socket) => socket.on("error", () => undefined).end(name));
    const path = join(this.folder, name);
    server.listen(path);
    this.servers.push(server);
    await once(server, "listening");
    return `unix://${path}`;
  }

  /** Opens the socket file of a URL. The caller closes it. */
  open(url: string): number {
    return openSync(url.slice("unix://".length), O_PATH);
  }

  inodeUrl(url: string): string {
    const fd = this.open(url);
    const named = inodeUrlOf(fd);
    closeSync(fd);
    return named;
  }

  async remove(): Promise<void> {
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(this.folder, { recursive: true });
  }
}

/** What the server behind a URL answers. */
export async function answerAt(url: string): Promise<string> {
  const socket = connect(url.slice("unix://".length));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** The two ends of a unix connection, each as the other one sees it. */
export interface Ends {
  /** How the server sees the caller. */
  readonly caller: Peer;
  /** How the caller sees the server. */
  readonly server: Peer;
  close(): void;
}

export function connected(clock: Clock = systemClock): Ends {
  const { ends, close } = attachedPair(clock) as AttachedPair;
  const unix = { id: 1, kind: "unix", address: "unix", local: true } as const;
  const peerOver = (attachments: (typeof ends)[number]): Peer => ({
    address: "unix",
    local: true,
    connection: { ...unix, attachments },
  });
  return { caller: peerOver(ends[1]), server: peerOver(ends[0]), close };
}
