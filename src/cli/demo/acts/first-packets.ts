import type { Socket } from "node:net";
import type { Connection } from "../../../api/index.js";
import { Code, NsmError } from "../../../core/index.js";
import { INTERFACE, nextConnection, startClient, type Client, type FirewallEndpoint } from "../cast.js";
import { agreedCounts, type Counts } from "../counts.js";
import { endOf, roadOf, type WireEnd } from "../ends.js";
import { connection, echo, pings, tryPort, type Road } from "../packets.js";
import { pathNames, picture } from "../picture.js";
import { DATABASE, rules, WEB } from "../rules.js";
import { table } from "../table.js";
import type { Play } from "./play.js";

/** A connection that stands, and what goes on over it. */
export interface Wired {
  readonly client: Client;
  readonly connection: Connection;
  readonly end: WireEnd;
  readonly road: Road;
  /** A TCP connection that is open. */
  readonly web: Socket;
}

/** A client asks for the firewall service; packets then pass or do not, as the rules have it. */
export async function firstPackets(play: Play, firewall: FirewallEndpoint): Promise<Wired> {
  const { checks, screen } = play;
  const wired = await connect(play, firewall);
  const { client, road } = wired;

  await checks.run("ICMP gets through", async (say) => {
    const { sent, received, rttMs } = await pings(road);
    say(`${received} of ${sent} echoes, the fastest in ${Math.min(...rttMs).toFixed(2)} ms`);
  });
  const web = await checks.run("allowed TCP port gets through", async (say) => {
    const socket = play.stage.keep(await connection(road, WEB), (open) => void open.destroy());
    await echo(socket, "hello through the firewall");
    say(`port ${WEB} (web) answered`);
    return socket;
  });
  await checks.run("denied TCP port does not", async (say) => {
    const outcome = await tryPort(road, DATABASE);
    if (outcome !== "timeout") throw new NsmError(Code.Internal, `port ${DATABASE} was ${outcome}`);
    say(`port ${DATABASE} (database) is silent`);
  });
  const counts = await checks.run("counters agree with what was sent", async (say) => {
    const agreed = await agreedCounts(client.namespace, firewall.process);
    say("every packet accounted for");
    return agreed;
  });
  screen.figure([
    ...countsTable(counts, firewall.name),
    "",
    "(nsc pings by itself, too, to know whether the wire is alive)",
  ]);
  return { ...wired, web };
}

async function connect(
  { stage, checks, screen }: Play,
  firewall: FirewallEndpoint,
): Promise<Omit<Wired, "web">> {
  const client = await checks.run("client started", async (say) => {
    const started = await startClient(stage);
    say(`nsc in ${started.namespace.name} asks for kernel://firewall/${INTERFACE}`);
    return started;
  });
  const established = await checks.run("connection established", async (say) => {
    const made = await nextConnection(client, "established");
    const path = pathNames(made);
    if (path.length !== 4)
      throw new NsmError(Code.Internal, `the path is ${path.join(", ")}, not four processes`);
    say(`path of ${path.length}, found by the registry, wired by the forwarder`);
    return made;
  });
  const end = await endOf("nsc", client.namespace);
  const far = await endOf(firewall.name, firewall.namespace);
  screen.figure([
    ...picture(pathNames(established), end, far),
    "",
    ...table(
      ["of", "interface", "address", "MAC", "MTU"],
      [end, far].map(({ process, interfaceName, address, mac, mtu }) => [
        process,
        interfaceName,
        address,
        mac,
        mtu,
      ]),
    ),
  ]);
  return { client, connection: established, end, road: roadOf(client.namespace, established) };
}

function countsTable(counts: Counts, firewall: string): readonly string[] {
  return table(
    ["rule", "verdict", "packets sent by nsc", `counted by ${firewall}`],
    rules("deny").map(({ name, action, protocol, ...rest }) => [
      name,
      `${action} ${protocol}${"ports" in rest ? ` ${rest.ports}` : ""}`,
      counts[name],
      counts[name],
    ]),
  );
}
