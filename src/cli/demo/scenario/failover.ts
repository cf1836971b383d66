import { Code, NsmError } from "../../../core/index.js";
import { nextConnection, startFirewall, type FirewallEndpoint } from "./programs.js";
import { routeOf } from "../machine/interfaces.js";
import { connection, echo, pings, tryPort } from "../traffic/packets.js";
import { pathNames } from "../report/diagram.js";
import { DATABASE, WEB } from "./rules.js";
import type { Established } from "./connect.js";
import type { StepContext } from "./step.js";

/** The active endpoint is killed, and another one replaces it. */
export async function failover(
  { machine, checks }: StepContext,
  failing: FirewallEndpoint,
  { client }: Established,
): Promise<FirewallEndpoint> {
  const replacement = await checks.run("second endpoint started", async (report) => {
    const started = await startFirewall(machine, "fw-2");
    report(`fw-2 in ${started.namespace.name}`);
    return started;
  });
  const healed = await checks.run("healed after kill -9", async (report) => {
    const takenOver = nextConnection(
      client,
      ({ networkServiceEndpointName }) => networkServiceEndpointName === replacement.name,
    );
    const [made] = await Promise.all([takenOver, failing.kill()]);
    report(pathNames(made).join(" → "));
    return made;
  });
  await checks.run("packets flow again", async (report) => {
    const route = routeOf(client.namespace, healed);
    const { sent, received } = await pings(route);
    const socket = machine.keep(await connection(route, WEB), (open) => void open.destroy());
    await echo(socket, "hello through the other firewall");
    socket.destroy();
    const outcome = await tryPort(route, DATABASE);
    if (outcome !== "timeout") throw new NsmError(Code.Internal, `port ${DATABASE} was ${outcome}`);
    report(
      `${received} of ${sent} echoes, port ${WEB} answers, port ${DATABASE} is denied by the rules of fw-2`,
    );
  });
  return replacement;
}
