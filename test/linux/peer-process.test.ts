import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { attachable, type AttachableConnection } from "../../src/linux/sockets/attachments.js";
import { namespaceByPid } from "../../src/linux/sockets/peer-process.js";
import { libc } from "../../src/linux/libc.js";

const [SOL_SOCKET, SO_PEERPIDFD] = [1, 77];

let folder: string;
let server: Server;
const taken: AttachableConnection[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nsm-peer-"));
  server = createServer().listen(join(folder, "s"));
  await once(server, "listening");
});
afterEach(() => {
  for (const { stream } of taken.splice(0)) stream.destroy();
  server.close();
  rmSync(folder, { recursive: true });
});

/** Takes over the next connection in the turn in which it arrives. */
const accepted = (): Promise<AttachableConnection> =>
  new Promise((resolve) =>
    server.once("connection", (socket: Socket) => {
      const connection = attachable(socket)!;
      taken.push(connection);
      resolve(connection);
    }),
  );

const namespaceName = (fd: number): string => {
  const name = readlinkSync(`/proc/self/fd/${fd}`);
  closeSync(fd);
  return name;
};

describe("the process at the other end of a unix socket", () => {
  test("is known to both ends, with its network namespace", async () => {
    const own = readlinkSync("/proc/self/ns/net");
    const socket = connect(join(folder, "s"));
    const connected = new Promise<AttachableConnection>((resolve) =>
      socket.once("connect", () => resolve(attachable(socket)!)),
    );
    const ends = [await accepted(), await connected];
    taken.push(ends[1]!);
    for (const { process: peer } of ends) {
      expect(peer.pid).toBe(process.pid);
      expect(namespaceName(peer.openNetworkNamespace())).toBe(own);
    }
  });

  test("is not found after it has ended", async () => {
    const waiting = accepted();
    const child = spawn(
      process.execPath,
      ["-e", `require("net").connect(${JSON.stringify(join(folder, "s"))})`],
      { stdio: "ignore" },
    );
    const { process: peer } = await waiting;
    expect(peer.pid).toBe(child.pid);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(() => peer.openNetworkNamespace()).toThrow(expect.objectContaining({ code: Code.NotFound }));
  });

  test("is unknown once the connection is closed", async () => {
    const waiting = accepted();
    connect(join(folder, "s")).on("error", () => {});
    const { stream, process: peer } = await waiting;
    stream.destroy();
    expect(() => peer.openNetworkNamespace()).toThrow(expect.objectContaining({ code: Code.Unavailable }));
  });

  test("has its namespace found by its pid where the kernel has no other way", async () => {
    const child = spawn(
      process.execPath,
      ["-e", `require("net").connect(${JSON.stringify(join(folder, "s"))})`],
      { stdio: "ignore" },
    );
    const [socket] = (await once(server, "connection")) as [Socket & { _handle: { fd: number } }];
    const [value, length] = [Buffer.alloc(4), Buffer.from([4, 0, 0, 0])];
    expect(libc().getsockopt(socket._handle.fd, SOL_SOCKET, SO_PEERPIDFD, value, length)).toBe(0);
    const pidfd = value.readInt32LE();
    try {
      expect(namespaceName(namespaceByPid(pidfd))).toBe(readlinkSync("/proc/self/ns/net"));
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(() => namespaceByPid(pidfd)).toThrow(expect.objectContaining({ code: Code.NotFound }));
    } finally {
      closeSync(pidfd);
      socket.destroy();
    }
  });
});
