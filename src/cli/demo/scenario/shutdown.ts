import { readdir } from "node:fs/promises";
import { Code, NsmError } from "../../../core/index.js";
import { nftablesIn } from "../../../linux/nftables/index.js";
import type { RunningProcess } from "../../../programs/child/process.js";
import { nextConnection, type Client, type FirewallEndpoint, type Mesh } from "./programs.js";
import { stopCounting } from "../traffic/counts.js";
import { interfacesIn } from "../machine/interfaces.js";
import type { StepContext } from "./step.js";

/** Closes the client's connection and ends all programs. */
export async function shutDown(
  { machine, checks }: StepContext,
  { client, firewall, mesh }: { client: Client; firewall: FirewallEndpoint; mesh: Mesh },
): Promise<void> {
  await checks.run("connection closed", async (report) => {
    await Promise.all([nextConnection(client, "closed"), end(client.process)]);
    await stopCounting(client.namespace);
    for (const { namespace } of [client, firewall]) {
      const left = (await interfacesIn(namespace)).map(({ name }) => name);
      if (left.length > 0)
        throw new NsmError(Code.Internal, `interface ${left.join(", ")} is left in ${namespace.name}`);
    }
    report("the interfaces are gone on both sides");
  });
  await checks.run("programs ended", async (report) => {
    for (const process of [firewall.process, mesh.forwarder, mesh.nsmgr, mesh.registry]) await end(process);
    const tables = (await nftablesIn(firewall.namespace).tables()).map(
      ({ name }) => `nftables table ${name}`,
    );
    const files = (await readdir(machine.directory, { recursive: true })).filter(isRemainder);
    const left = [...tables, ...files];
    if (left.length > 0) throw new NsmError(Code.Internal, `left behind: ${left.join(", ")}`);
    report("each with exit code 0, leaving no rule, socket or journal behind");
  });
}

/** Stops a program and expects exit code 0. */
async function end(process: RunningProcess): Promise<void> {
  const { code, signal } = await process.stop();
  if (code === 0) return;
  throw new NsmError(
    Code.Internal,
    `${process.name} ended with ${signal ?? `code ${code}`}: ${process.stderr.trim()}`,
  );
}

/** Whether a file is a leftover socket or journal. A killed process cannot remove its socket. */
function isRemainder(file: string): boolean {
  return /\.sock$|-state\//.test(file) && file !== "fw-1.sock";
}
