import { afterEach, describe, expect, test } from "vitest";
import { expectEventually, ProcessMesh } from "./support.js";

let mesh: ProcessMesh | undefined;
afterEach(async () => {
  await mesh?.stop();
  mesh = undefined;
});

const endpointOf = (event: unknown): string =>
  (event as { connection: { networkServiceEndpointName: string } }).connection.networkServiceEndpointName;

describe("five processes", () => {
  test.each(["registry", "nsmgr", "forwarder"])(
    "keep or rebuild the connection when the %s is killed and comes back, and hold nothing after Close",
    async (program) => {
      mesh = await ProcessMesh.start();
      await mesh.endpoint("nse-1", "firewall");
      const nsc = await mesh.client("nsc", "firewall");
      await nsc.events.next("established");
      await mesh.replace(program);
      if (program !== "registry") {
        await nsc.events.next("healing");
        await nsc.events.next("updated", { timeoutMs: 60_000 });
      }
      for (const hop of ["nsmgr", "forwarder", "nse-1"])
        await expectEventually(() => mesh!.connections(hop), 1);
      expect((await nsc.stop()).code).toBe(0);
      for (const hop of ["nsmgr", "forwarder", "nse-1"])
        await expectEventually(() => mesh!.connections(hop), 0);
    },
  );

  test("move to the second endpoint when the one in use is killed", async () => {
    mesh = await ProcessMesh.start();
    await mesh.endpoint("nse-1", "firewall");
    const nsc = await mesh.client("nsc", "firewall");
    expect(endpointOf(await nsc.events.next("established"))).toBe("nse-1");
    await mesh.endpoint("nse-2", "firewall");
    await mesh.get("nse-1").kill("SIGKILL");
    await nsc.events.next("healing");
    expect(endpointOf(await nsc.events.next("updated"))).toBe("nse-2");
    await nsc.stop();
    for (const hop of ["nsmgr", "forwarder", "nse-2"])
      await expectEventually(() => mesh!.connections(hop), 0);
  });

  test("close at once a connection whose only endpoint was killed", async () => {
    mesh = await ProcessMesh.start();
    await mesh.endpoint("nse-1", "firewall");
    const nsc = await mesh.client("nsc", "firewall");
    await nsc.events.next("established");
    await mesh.get("nse-1").kill("SIGKILL");
    await nsc.events.next("healing");
    const startedAt = performance.now();
    const closed = nsc.events.next("closed");
    expect((await nsc.stop()).code).toBe(0);
    await closed;
    // Tries of a Close go on for five seconds where the endpoint may come back.
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    for (const hop of ["nsmgr", "forwarder"]) await expectEventually(() => mesh!.connections(hop), 0);
  });

  test("let go of the connection of a client that was killed, when its token expires", async () => {
    mesh = await ProcessMesh.start();
    await mesh.endpoint("nse-1", "firewall");
    const short = ["--max-token-lifetime", "4s", "--request-timeout", "1s"];
    const nsc = await mesh.client("nsc", "firewall", short);
    await nsc.events.next("established");
    await expectEventually(() => mesh!.connections("nse-1"), 1);
    await nsc.kill("SIGKILL");
    for (const hop of ["nsmgr", "forwarder", "nse-1"])
      await expectEventually(() => mesh!.connections(hop), 0);
  });

  test("hold what they should through a client that waits for its service to come", async () => {
    mesh = await ProcessMesh.start();
    const nsc = await mesh.client("nsc", "firewall");
    const failed = await nsc.events.next("failed");
    expect(failed).toMatchObject({ retrying: true, error: { code: "NotFound" } });
    expect(String((failed.error as { message: string }).message)).toContain('"firewall"');
    await mesh.endpoint("nse-1", "firewall");
    await nsc.events.next("established");
    await nsc.stop();
    for (const hop of ["nsmgr", "forwarder", "nse-1"])
      await expectEventually(() => mesh!.connections(hop), 0);
  });
});
