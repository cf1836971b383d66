import { readdir, readlink } from "node:fs/promises";
import { Server, status } from "@grpc/grpc-js";
import { expect, test, vi } from "vitest";
import { authority, spiffeIdentity } from "../../src/identity/index.js";
import { testClient, sourceOf } from "./support.js";

// A file of its own: the sockets of other tests may still be closing.

/** The sockets this process has open, as the kernel counts them: Node does not list those it may exit with. */
async function openSockets(): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((link) => link.startsWith("socket:"));
}

test("closing clients and servers leaves no socket", async () => {
  const org = await authority({ trustDomain: "example.org" });
  const server = spiffeIdentity(sourceOf(await org.issue({ path: "/server" })));
  const client = spiffeIdentity(sourceOf(await org.issue({ path: "/client" })));
  const before = new Set(await openSockets());
  const opened = async (): Promise<string[]> => (await openSockets()).filter((socket) => !before.has(socket));
  const listening = new Server();
  const port = await new Promise<number>((resolve, reject) =>
    listening.bindAsync("127.0.0.1:0", server.serverCredentials(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const call = testClient(`127.0.0.1:${port}`, client.channelCredentials());
  await expect(call()).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  expect(await opened()).toHaveLength(3);
  call.close();
  await new Promise<void>((resolve, reject) =>
    listening.tryShutdown((error) => (error ? reject(error) : resolve())),
  );
  // Node closes the sockets one turn of the event loop after the callbacks.
  await vi.waitFor(async () => expect(await opened()).toEqual([]), { timeout: 20_000 });
});
