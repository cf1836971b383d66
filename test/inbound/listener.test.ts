import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { connect, createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { openSockets, socketsDownTo } from "../outbound/grpc-kit.js";

const identity = insecureIdentity();

describe("listening", () => {
  let folder: string;
  let before: number;
  let servers: Server[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "nsm-listen-"));
    before = openSockets();
    servers = [];
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close()));
    await socketsDownTo(before);
    await rm(folder, { recursive: true });
  });

  const listen = async (...listenOn: string[]): Promise<Server> => {
    const server = await grpcServer({ identity, listenOn, services: {} });
    servers.push(server);
    return server;
  };
  const refused = (...listenOn: string[]) => expect(listen(...listenOn)).rejects;

  test("port 0 becomes a real port, for every address", async () => {
    const { listenOn } = await listen("tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0");
    expect(listenOn[0]).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect(listenOn[1]).toMatch(/^tcp:\/\/\[::1\]:[1-9]\d*$/);
    expect(listenOn[2]).toMatch(/^tcp:\/\/localhost:[1-9]\d*$/);
  });

  test("a wildcard host is omitted from the URL", async () => {
    const { listenOn } = await listen("tcp://:0", "tcp://0.0.0.0:0", "tcp://[::]:0");
    for (const url of listenOn) expect(url).toMatch(/^tcp:\/\/:[1-9]\d*$/);
  });

  test("a unix socket gets its folder, is open to every user, and is gone afterwards", async () => {
    const path = join(folder, "a", "b", "nsm.sock");
    const server = await listen(`unix://${path}`);
    expect(server.listenOn).toEqual([`unix://${path}`]);
    expect((await stat(path)).mode & 0o777).toBe(0o777);
    await server.close();
    expect(await readdir(folder)).toEqual([]);
  });

  test("folders that were made for a socket go with it; what was there before or came since stays", async () => {
    const server = await listen(`unix://${folder}/a/b/nsm.sock`);
    await writeFile(join(folder, "a", "other"), "");
    await server.close();
    expect(await readdir(join(folder, "a"))).toEqual(["other"]);
    const again = await listen(`unix://${folder}/a/nsm.sock`);
    await again.close();
    expect(await readdir(join(folder, "a"))).toEqual(["other"]);
  });

  test("a socket that a dead process left behind is replaced", async () => {
    const path = join(folder, "stale.sock");
    // Only a process that dies leaves its socket file behind.
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    expect((await stat(path)).isSocket()).toBe(true);
    await listen(`unix://${path}`);
    await answering(path);
  });

  test("a socket with a listener is in use, and stays", async () => {
    const path = join(folder, "live.sock");
    await listen(`unix://${path}`);
    await refused(`unix://${path}`).toMatchObject({
      code: Code.AlreadyExists,
      message: `cannot listen on unix://${path}: the address is already in use`,
    });
    await answering(path);
  });

  test("a file other than a socket is rejected, and stays", async () => {
    const path = join(folder, "notes.txt");
    await writeFile(path, "mine");
    await refused(`unix://${path}`).toMatchObject({ code: Code.FailedPrecondition });
    await symlink(path, join(folder, "link"));
    await refused(`unix://${folder}/link`).toMatchObject({ code: Code.FailedPrecondition });
    expect((await readdir(folder)).sort()).toEqual(["link", "notes.txt"]);
  });

  test("a folder that cannot be made is an error that names the address", async () => {
    await writeFile(join(folder, "file"), "");
    const url = `unix://${folder}/file/nsm.sock`;
    await refused(url).toThrow(`cannot listen on ${url}`);
  });

  test("a port that is taken is in use, and what else was opened is closed again", async () => {
    const other = await taken();
    const { port } = other.address() as { port: number };
    const url = `tcp://127.0.0.1:${port}`;
    await refused(`unix://${folder}/x.sock`, url, "tcp://127.0.0.1:0").toMatchObject({
      code: Code.AlreadyExists,
      message: `cannot listen on ${url}: the address is already in use`,
    });
    expect(await readdir(folder)).toEqual([]);
    await new Promise((resolve) => other.close(resolve));
  });

  test("an address of another machine is refused, naming it", async () => {
    // A documentation prefix: no machine has it.
    await refused("tcp://192.0.2.1:0").toMatchObject({
      code: Code.InvalidArgument,
      message: "cannot listen on tcp://192.0.2.1:0: the address is not on this machine",
    });
  });

  test.each([
    "127.0.0.1:5001",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:70000",
    "http://127.0.0.1:1",
    "unix:",
    "",
  ])("%j is refused, naming it and what is allowed", async (url) => {
    await refused(url).toMatchObject({ code: Code.InvalidArgument });
    await refused(url).toThrow(`"${url}" is not an address to listen on: expected`);
  });

  test("a path longer than the kernel takes is refused", async () => {
    await refused(`unix:///${"x".repeat(107)}`).toThrow("at most 107 bytes");
  });

  test("services are made when the real addresses are known; if that fails, nothing stays open", async () => {
    let passedAddresses: readonly string[] = [];
    const server = await grpcServer({
      identity,
      listenOn: ["tcp://127.0.0.1:0"],
      services: (listenOn) => {
        passedAddresses = listenOn;
        return {};
      },
    });
    servers.push(server);
    expect(passedAddresses).toEqual(server.listenOn);

    const failing = grpcServer({
      identity,
      listenOn: [`unix://${folder}/x.sock`],
      services: () => {
        throw new Error("no configuration");
      },
    });
    await expect(failing).rejects.toThrow("no configuration");
    expect(await readdir(folder)).toEqual([]);
  });
});

function answering(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}

function taken(): Promise<NetServer> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}
