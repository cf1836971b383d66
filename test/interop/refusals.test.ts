import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RunningProcess } from "../../src/programs/child/process.js";
import { goPeer, mutualTls, type Maker } from "./peers.js";
import { allBy, Stack } from "./stack.js";

const service = "svc";

/** A mesh in which manager and registry are by one maker, with an endpoint, and Go clients to try it. */
function describeMesh(maker: Maker, body: (mesh: () => Stack, client: Client) => void): void {
  describe(`a mesh whose manager is ${maker === "go" ? "Go's" : "ours"}, with mutual TLS`, () => {
    let stack: Stack;
    const clients: RunningProcess[] = [];
    beforeAll(async () => {
      stack = await Stack.start(allBy("go", { nsmgr: maker, registry: maker }), "mutual TLS");
      await stack.nse("nse-1", service, ["172.16.1.0/24"]);
    });
    afterEach(() => Promise.all(clients.splice(0).map((one) => one.kill("SIGKILL"))));
    afterAll(() => stack?.abandon());
    body(
      () => stack,
      async (...args) => {
        const nsc = await goPeer("nsc", [
          ...["--name", "nsc", "--connect-to", stack.url("nsmgr"), "--request", `kernel://${service}/nsm-1`],
          ...["--request-timeout", "3s", ...args],
        ]);
        clients.push(nsc);
        return nsc;
      },
    );
  });
}

type Client = (...args: readonly string[]) => Promise<RunningProcess>;

/** The whole life of a rejected client: it reports the reason and ends. */
async function refusal(nsc: RunningProcess): Promise<string> {
  const failed = await nsc.events.next("failed");
  await expect(nsc.exited).resolves.toEqual({ code: 1, signal: null });
  expect(nsc.events.all).toHaveLength(1);
  return String(failed.error);
}

const makers: readonly Maker[] = ["go", "ours"];
for (const maker of makers) {
  describeMesh(maker, (mesh, client) => {
    test("accepts a client with its own token", async () => {
      const nsc = await client(...mesh().security.args("nsc"));
      await nsc.events.next("established");
      await expect(nsc.stop()).resolves.toEqual({ code: 0, signal: null });
    });

    test("does not talk to a client of another authority", async () => {
      const otherMesh = await mutualTls(["nsc"]);
      try {
        const nsc = await client(...otherMesh.args("nsc"));
        expect(await refusal(nsc)).toContain("Unavailable");
      } finally {
        await otherMesh.remove();
      }
    });

    test("does not talk to a client without a certificate", async () => {
      const nsc = await client("--insecure");
      // Ours answers without TLS, to report that it requires TLS.
      expect(await refusal(nsc)).toContain(maker === "go" ? "Unavailable" : "Unauthenticated");
    });
  });
}

// That Go refuses these shows that its policies are in force in every mixture with mutual TLS, and that what
// our programs send there is accepted because it is right.
describeMesh("go", (mesh, client) => {
  test("refuses a client whose tokens are signed with another key than its certificate's", async () => {
    const nsc = await client(...mesh().security.args("nsc"), "--forge-tokens");
    expect(await refusal(nsc)).toContain("PermissionDenied");
  });

  test("does not let another identity take over an endpoint's registration", async () => {
    const args = [
      ...["--name", `nse-1.${service}`, "--connect-to", mesh().url("nsmgr"), "--service", service],
      ...["--cidr", "172.16.9.0/24", "--request-timeout", "2s"],
    ];
    const impostor = goPeer("nse", [...args, ...mesh().security.args("nse-2")]);
    await expect(impostor.then((one) => one.kill("SIGKILL"))).rejects.toThrow("PermissionDenied");
    await expect(mesh().find("nsmgr", service)).resolves.toEqual({
      [`nse-1.${service}`]: expect.any(String),
    });
  });
});
