import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { mesh, type Mesh } from "../../src/testing/index.js";

const built = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
let net: Mesh;

beforeEach(async () => {
  net = await mesh({ transport: "grpc" });
  await net.endpoint({ name: "nse-1", service: "firewall" });
});

afterEach(() => net.stop());

/** Runs a program that connects, as far as it goes by itself. */
async function run(afterwards: string): Promise<string> {
  const program = `
    const { connectService, insecureIdentity } = await import(${JSON.stringify(built)});
    const connected = connectService({
      name: "nsc", service: "firewall", connectTo: ${JSON.stringify(net.nsmgr.url)}, identity: insecureIdentity(),
    });
    connected.events.subscribe(({ type }) => console.log(type));
    await connected.established;
    ${afterwards}`;
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout;
}

test("a process with an established connection exits when nothing else is left", async () => {
  expect(await run("")).toBe("established\n");
}, 30_000);

test("a process whose connection has been up for a while exits, too", async () => {
  expect(await run("await new Promise((resolve) => setTimeout(resolve, 2_000));")).toBe("established\n");
}, 30_000);

test("a process waits for a Close that is under way", async () => {
  expect(await run("void connected.close();")).toBe("established\nclosed\n");
}, 30_000);
