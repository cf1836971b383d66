import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, open, openSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NetworkServiceEndpoint } from "../../../src/api/index.js";
import { Code, Context } from "../../../src/core/index.js";
import { transportConnection } from "../../../src/core/transport-connection.js";
import { RequestFiles } from "../../../src/elements/request-files/index.js";
import { inodeUrlOf, openNamespace } from "../../../src/linux/index.js";
import { O_PATH } from "../../../src/linux/constants.js";
import { duplicate } from "../../../src/linux/sockets/attachable-socket.js";
import { canReceiveDescriptors, closeReceived } from "../../../src/linux/sockets/close-received.js";
import { ReceivedDescriptors } from "../../../src/linux/sockets/received-descriptors.js";
import { SocketReceiver } from "../../../src/registry/passed-socket.js";

const program = fileURLToPath(new URL("children/silent-file-server.mjs", import.meta.url));

let folder: string;
let server: ChildProcess;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nsm-silent-"));
  server = spawn(process.execPath, [program, folder], { stdio: ["ignore", "pipe", "inherit"] });
  await once(server.stdout!, "data");
});
afterEach(async () => {
  // Without its server, the file system answers every waiting call.
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
  await expect.poll(canReceiveDescriptors).toBe(true);
  spawnSync("umount", ["-l", folder]);
  rmdirSync(folder);
});

/** Opens the file by a pool thread, because its server answers after the call. */
const opened = (flags: number | string): Promise<number> => promisify(open)(join(folder, "file"), flags);

/** What the operation takes while the file server does not answer. It would answer after 20 seconds, by ending. */
async function timeOf(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

describe("a received descriptor of a file whose file server does not answer", () => {
  test("is not taken for a network namespace, without waiting", async () => {
    const fd = await opened(O_PATH);
    closeReceived(await opened("r"));
    const time = await timeOf(() =>
      expect(() => openNamespace(`/proc/self/fd/${fd}`)).toThrow("is not a network namespace"),
    );
    expect(time).toBeLessThan(5_000);
    closeSync(fd);
  });

  test("waits, is taken, and is closed everywhere without waiting", async () => {
    const fd = await opened("r");
    const time = await timeOf(async () => {
      const [received, files] = [new ReceivedDescriptors(), new RequestFiles()];
      const url = inodeUrlOf(fd);
      received.arrived(duplicate(fd));
      received.arrived(duplicate(fd));
      files.hold(url, await received.take(url, new AbortController().signal));
      files.hold(url, duplicate(fd));
      files.close();
      received.close();
      closeReceived(fd);
    });
    expect(time).toBeLessThan(5_000);
  });

  test("is not taken for the socket of an endpoint, without waiting", async () => {
    const endpoint = (url: string) => NetworkServiceEndpoint.create({ name: "nse", url });
    for (const flags of [O_PATH, "r"]) {
      const fd = await opened(flags);
      const attachments = { send: () => {}, receive: async () => fd };
      const connection = transportConnection({ kind: "unix", address: "unix", local: true, attachments });
      const receiving = new SocketReceiver();
      const time = await timeOf(() =>
        expect(
          receiving.receive(Context.background(), connection, endpoint(inodeUrlOf(fd))),
        ).rejects.toMatchObject({ code: Code.InvalidArgument }),
      );
      expect(time).toBeLessThan(5_000);
    }
  });

  test("uses up a limited number of threads and descriptors, and none after the server has ended", async () => {
    const fd = await opened("r");
    const time = await timeOf(() => {
      for (let i = 0; i < 1_000 && canReceiveDescriptors(); i++) closeReceived(duplicate(fd));
    });
    expect(time).toBeLessThan(5_000);
    expect(canReceiveDescriptors()).toBe(false);
    closeReceived(fd);
    const free = openSync("/dev/null", "r");
    closeSync(free);
    expect(free).toBeLessThan(1_000);
  });
});
