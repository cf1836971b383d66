import { Code, NsmError } from "../../../core/index.js";
import { nextConnection, startFirewall, type FirewallEndpoint } from "../cast.js";
import { roadOf } from "../ends.js";
import { connection, echo, pings, tryPort } from "../packets.js";
import { pathNames } from "../picture.js";
import { DATABASE, WEB } from "../rules.js";
import type { Wire } from "./connecting.js";
import type { Play } from "./play.js";

/** The endpoint in use dies without a word, and another one takes over. */
export async function failover(
  { stage, checks }: Play,
  doomed: FirewallEndpoint,
  { client }: Wire,
): Promise<FirewallEndpoint> {
  const heir = await checks.run("second endpoint started", async (say) => {
    const started = await startFirewall(stage, "fw-2");
    say(`fw-2 in ${started.namespace.name}`);
    return started;
  });
  const healed = await checks.run("healed after kill -9", async (say) => {
    const takenOver = nextConnection(
      client,
      ({ networkServiceEndpointName }) => networkServiceEndpointName === heir.name,
    );
    const [made] = await Promise.all([takenOver, doomed.kill()]);
    say(pathNames(made).join(" → "));
    return made;
  });
  await checks.run("packets flow again", async (say) => {
    const road = roadOf(client.namespace, healed);
    const { sent, received } = await pings(road);
    const socket = stage.keep(await connection(road, WEB), (open) => void open.destroy());
    await echo(socket, "hello through the other firewall");
    socket.destroy();
    const outcome = await tryPort(road, DATABASE);
    if (outcome !== "timeout") throw new NsmError(Code.Internal, `port ${DATABASE} was ${outcome}`);
    say(
      `${received} of ${sent} echoes, port ${WEB} answers, port ${DATABASE} is denied by the rules of fw-2`,
    );
  });
  return heir;
}
