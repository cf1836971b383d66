import type { Socket } from "node:net";
import { Code, NsmError } from "../../../core/index.js";
import type { FirewallEndpoint } from "./programs.js";
import { endOf } from "../machine/interfaces.js";
import { echo, tryPort } from "../traffic/packets.js";
import { DATABASE, writeRules } from "./rules.js";
import type { Established } from "./connect.js";
import type { StepContext } from "./step.js";

/** Changes the firewall's rules under an established connection, which stays unchanged. */
export async function newRules(
  { checks }: StepContext,
  firewall: FirewallEndpoint,
  wire: Established,
  web: Socket,
): Promise<void> {
  const { client, connection, end, route } = wire;
  const eventsBefore = client.process.events.all.length;

  await checks.run("new rules open the denied port", async (report) => {
    await writeRules(firewall.rulesFile, "allow");
    await firewall.process.events.next("rules");
    const outcome = await tryPort(route, DATABASE);
    if (outcome !== "open") throw new NsmError(Code.Internal, `port ${DATABASE} is still closed: ${outcome}`);
    report(`port ${DATABASE} (database) answers since the file changed`);
  });
  await checks.run("connection was not made again", async (report) => {
    const events = client.process.events.all.slice(eventsBefore).map(({ event }) => event);
    if (events.length > 0) throw new NsmError(Code.Internal, `the client saw: ${events.join(", ")}`);
    const now = await endOf(end.process, client.namespace);
    if (now.index !== end.index) {
      throw new NsmError(Code.Internal, `the interface had index ${end.index} and has ${now.index} now`);
    }
    report(`id ${connection.id}, interface index ${now.index} as before`);
  });
  await checks.run("open TCP connection keeps working", async (report) => {
    await echo(web, "hello again through the same connection");
    report("the connection to the web server was open all along");
  });
  web.destroy();
}
