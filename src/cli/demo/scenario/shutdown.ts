import { readdir } from "node:fs/promises";
import { Code, NsmError } from "../../../core/index.js";
import { nftablesIn } from "../../../linux/index.js";
import type { RunningProcess } from "../../../programs/child/process.js";
import { nextConnection, type Client, type FirewallEndpoint, type Mesh } from "./programs.js";
import { stopCounting } from "../traffic/counts.js";
import { interfacesIn } from "../machine/interfaces.js";
import type { StepContext } from "./step.js";

/** The client closes its connection, and everybody ends. */
export async function shutDown(
  { machine, checks }: StepContext,
  { client, firewall, mesh }: { client: Client; firewall: FirewallEndpoint; mesh: Mesh },
): Promise<void> {
  await checks.run("connection closed", async (say) => {
    await Promise.all([nextConnection(client, "closed"), end(client.process)]);
    await stopCounting(client.namespace);
    for (const { namespace } of [client, firewall]) {
      const left = (await interfacesIn(namespace)).map(({ name }) => name);
      if (left.length > 0)
        throw new NsmError(Code.Internal, `interface ${left.join(", ")} is left in ${namespace.name}`);
    }
    say("the interfaces are gone on both sides");
  });
  await checks.run("programs ended", async (say) => {
    for (const process of [firewall.process, mesh.forwarder, mesh.nsmgr, mesh.registry]) await end(process);
    const tables = (await nftablesIn(firewall.namespace).tables()).map(
      ({ name }) => `nftables table ${name}`,
    );
    const files = (await readdir(machine.directory, { recursive: true })).filter(isRemainder);
    const left = [...tables, ...files];
    if (left.length > 0) throw new NsmError(Code.Internal, `left behind: ${left.join(", ")}`);
    say("each with exit code 0, leaving no rule, socket or journal behind");
  });
}

/** Asks a program to end, and expects that it does so in good order. */
async function end(process: RunningProcess): Promise<void> {
  const { code, signal } = await process.stop();
  if (code === 0) return;
  throw new NsmError(
    Code.Internal,
    `${process.name} ended with ${signal ?? `code ${code}`}: ${process.stderr.trim()}`,
  );
}

/** Sockets and journals; but whoever was killed could not take its socket away. */
function isRemainder(file: string): boolean {
  return /\.sock$|-state\//.test(file) && file !== "fw-1.sock";
}
