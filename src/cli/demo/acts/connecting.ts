import type { Connection } from "../../../api/index.js";
import { Code, NsmError } from "../../../core/index.js";
import {
  INTERFACE,
  nextConnection,
  SERVICE,
  startClient,
  type Client,
  type FirewallEndpoint,
} from "../cast.js";
import { endOf, roadOf, type WireEnd } from "../ends.js";
import type { Road } from "../packets.js";
import { pathNames, picture } from "../picture.js";
import { table } from "../table.js";
import type { Play } from "./play.js";

/** A connection that stands. */
export interface Wire {
  readonly client: Client;
  readonly connection: Connection;
  /** The client's end. */
  readonly end: WireEnd;
  readonly road: Road;
}

/** A client asks for the firewall service and gets a wire to the endpoint. */
export async function connecting({ stage, checks, screen }: Play, firewall: FirewallEndpoint): Promise<Wire> {
  const client = await checks.run("client started", async (say) => {
    const started = await startClient(stage);
    say(`nsc in ${started.namespace.name} asks for kernel://${SERVICE}/${INTERFACE}`);
    return started;
  });
  const { connection, end, far } = await checks.run("connection established", async (say) => {
    const established = await nextConnection(client, "established");
    const path = pathNames(established);
    if (path.length !== 4) {
      throw new NsmError(Code.Internal, `the path is ${path.join(", ")}, not four processes`);
    }
    say(`path of ${path.length}, found by the registry, wired by the forwarder`);
    return {
      connection: established,
      end: await endOf("nsc", client.namespace),
      far: await endOf(firewall.name, firewall.namespace),
    };
  });
  const addresses = [end, far].map(({ process, interfaceName, address, mac, mtu }) => [
    process,
    interfaceName,
    address,
    mac,
    mtu,
  ]);
  screen.figure([
    ...picture(pathNames(connection), end, far),
    "",
    ...table(["of", "interface", "address", "MAC", "MTU"], addresses),
  ]);
  return { client, connection, end, road: roadOf(client.namespace, connection) };
}
