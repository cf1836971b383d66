import type { Connection } from "../../../api/index.js";
import { Code, NsmError } from "../../../core/index.js";
import {
  INTERFACE,
  nextConnection,
  SERVICE,
  startClient,
  type Client,
  type FirewallEndpoint,
} from "./programs.js";
import { endOf, routeOf, type VWireEnd } from "../machine/interfaces.js";
import type { Route } from "../traffic/packets.js";
import { pathNames, diagram } from "../report/diagram.js";
import { table } from "../report/table.js";
import type { StepContext } from "./step.js";

/** An established connection. */
export interface Established {
  readonly client: Client;
  readonly connection: Connection;
  /** The client's end of the vWire. */
  readonly end: VWireEnd;
  readonly route: Route;
}

/** A client requests the firewall service and gets a vWire to the endpoint. */
export async function connect(
  { machine, checks, screen }: StepContext,
  firewall: FirewallEndpoint,
): Promise<Established> {
  const client = await checks.run("client started", async (report) => {
    const started = await startClient(machine);
    report(`nsc in ${started.namespace.name} requests kernel://${SERVICE}/${INTERFACE}`);
    return started;
  });
  const { connection, end, far } = await checks.run("connection established", async (report) => {
    const established = await nextConnection(client, "established");
    const path = pathNames(established);
    if (path.length !== 4) {
      throw new NsmError(Code.Internal, `the path is ${path.join(", ")}, not four processes`);
    }
    report(`${path.length} hops, found by the registry, connected by the forwarder`);
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
    ...diagram(pathNames(connection), end, far),
    "",
    ...table(["of", "interface", "address", "MAC", "MTU"], addresses),
  ]);
  return { client, connection, end, route: routeOf(client.namespace, connection) };
}
