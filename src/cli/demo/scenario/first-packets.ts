import type { Socket } from "node:net";
import { Code, NsmError } from "../../../core/index.js";
import type { FirewallEndpoint } from "./programs.js";
import { agreedCounts, type CountsOfBoth } from "../traffic/counts.js";
import { connection, echo, pings, tryPort } from "../traffic/packets.js";
import { DATABASE, rules, WEB } from "./rules.js";
import { table } from "../report/table.js";
import type { Established } from "./connect.js";
import type { StepContext } from "./step.js";

/** Sends packets and checks which of them pass. Resolves to a TCP connection that stays open. */
export async function firstPackets(
  { machine, checks, screen }: StepContext,
  firewall: FirewallEndpoint,
  { client, route }: Established,
): Promise<Socket> {
  await checks.run("ICMP gets through", async (report) => {
    const { sent, received, rttMs } = await pings(route);
    report(`${received} of ${sent} echoes, the fastest in ${Math.min(...rttMs).toFixed(2)} ms`);
  });
  const web = await checks.run("allowed TCP port gets through", async (report) => {
    const socket = machine.keep(await connection(route, WEB), (open) => void open.destroy());
    await echo(socket, "hello through the firewall");
    report(`port ${WEB} (web) answered`);
    return socket;
  });
  await checks.run("denied TCP port does not", async (report) => {
    const outcome = await tryPort(route, DATABASE);
    if (outcome !== "timeout") throw new NsmError(Code.Internal, `port ${DATABASE} was ${outcome}`);
    report(`port ${DATABASE} (database) is silent`);
  });
  const counts = await checks.run("counters agree with what was sent", async (report) => {
    const agreed = await agreedCounts(client.namespace, firewall.process);
    report("every packet accounted for");
    return agreed;
  });
  screen.figure([
    ...countsTable(counts, firewall.name),
    "",
    "(nsc also sends its own pings, to check the vWire)",
  ]);
  return web;
}

function countsTable({ sent, counted }: CountsOfBoth, firewall: string): readonly string[] {
  return table(
    ["rule", "verdict", "packets sent by nsc", `counted by ${firewall}`],
    rules("deny").map(({ name, action, protocol, ...rest }) => [
      name,
      `${action} ${protocol}${"ports" in rest ? ` ${rest.ports}` : ""}`,
      sent[name],
      counted[name],
    ]),
  );
}
