import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { insecureIdentity } from "../../../src/identity/index.js";
import { grpcServer } from "../../../src/inbound/index.js";
import { ownSocket } from "../../../src/programs/runtime/own-socket.js";

describe("the default socket of a program", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "nsm-own-"));
    vi.stubEnv("TMPDIR", folder);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  });

  const pathOf = (url: string): string => url.slice("unix://".length);
  const aged = (path: string): Promise<void> => utimes(path, 0, 0);

  test("has a folder that no other user can guess and create first", async () => {
    const first = pathOf(await ownSocket("forwarder"));
    expect(dirname(dirname(first))).toBe(folder);
    expect(await ownSocket("forwarder")).not.toBe(`unix://${first}`);
    await expect(stat(dirname(first))).rejects.toThrow("ENOENT");
  });

  test("fits into what the kernel takes, whatever the program is called", async () => {
    expect(Buffer.byteLength(pathOf(await ownSocket("a/".repeat(200))))).toBeLessThan(108);
  });

  test("is gone with its folder when the program stops", async () => {
    const server = await grpcServer({
      identity: insecureIdentity(),
      listenOn: [await ownSocket("nse")],
      services: {},
    });
    await server.close();
    expect(await readdir(folder)).toEqual([]);
  });

  test("of a killed process is removed with its folder by the next one", async () => {
    const path = pathOf(await ownSocket("nse"));
    await mkdir(dirname(path));
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    expect((await stat(path)).isSocket()).toBe(true);
    await aged(dirname(path));
    const empty = join(folder, "nsm-nse-17-AAAAAAAA");
    await mkdir(empty);
    await aged(empty);
    await ownSocket("nse");
    expect(await readdir(folder)).toEqual([]);
  });

  test("leaves alone what is young, in use, has other content or another name", async () => {
    const old = async (name: string): Promise<string> => {
      const path = join(folder, name);
      await mkdir(path);
      return path;
    };
    await old("nsm-nse-1-AAAAAAAA");
    const other = await old("nsm-nse-2-AAAAAAAA");
    await writeFile(join(other, "notes"), "mine");
    const live = await old("nsm-nse-3-AAAAAAAA");
    const server = await listening(join(live, "listen.sock"));
    const foreign = await old("nsm-nse-data");
    const longer = await old("nsm-nse-2-4-AAAAAAAA");
    for (const path of [other, live, foreign, longer]) await aged(path);
    const before = (await readdir(folder)).sort();
    await ownSocket("nse");
    expect((await readdir(folder)).sort()).toEqual(before);
    expect(await readdir(live)).toEqual(["listen.sock"]);
    await new Promise((resolve) => server.close(resolve));
  });
});

function listening(path: string): Promise<NetServer> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(path, () => resolve(server));
  });
}
