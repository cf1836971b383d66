import { Connection } from "../../../api/index.js";
import { Code, NsmError } from "../../../core/index.js";
import { tcpListen, type NetworkNamespace, type TcpListener } from "../../../linux/index.js";
import type { EventMatch, ProcessEvent, RunningProcess } from "../../../programs/child/process.js";
import { countSent } from "../traffic/counts.js";
import { DATABASE, WEB, writeRules } from "./rules.js";
import type { Machine } from "../machine/machine.js";

/** The requested network service. */
export const SERVICE = "firewall";
/** Name of the client's interface. */
export const INTERFACE = "nsm-1";

/** The programs that must run before the first request. */
export interface Mesh {
  readonly registry: RunningProcess;
  readonly nsmgr: RunningProcess;
  readonly forwarder: RunningProcess;
}

/** Starts registry, manager and forwarder together. Their start order does not matter. */
export async function startMesh(machine: Machine): Promise<Mesh> {
  const [registry, nsmgr, forwarder] = await Promise.all([
    machine.start({ name: "registry", program: "registry", args: ["--listen-on", machine.url("registry")] }),
    machine.start({
      name: "nsmgr",
      program: "nsmgr",
      args: ["--listen-on", machine.url("nsmgr"), "--registry", machine.url("registry")],
    }),
    machine.start({
      name: "forwarder",
      program: "forwarder",
      args: [
        ...["--listen-on", machine.url("forwarder"), "--connect-to", machine.url("nsmgr")],
        ...["--state-dir", machine.path("forwarder-state")],
      ],
    }),
  ]);
  return { registry, nsmgr, forwarder };
}

/** A firewall endpoint, with the servers that it protects in its network namespace. */
export interface FirewallEndpoint {
  readonly name: string;
  readonly process: RunningProcess;
  readonly namespace: NetworkNamespace;
  readonly rulesFile: string;
  /** Kills the process and everything that holds its namespace, as if the whole machine had failed. */
  kill(): Promise<void>;
}

/** Starts a firewall endpoint in its own namespace, with a web server and a database behind it. */
export async function startFirewall(machine: Machine, name: string): Promise<FirewallEndpoint> {
  const namespace = await machine.namespace();
  const servers: TcpListener[] = [];
  for (const port of [WEB, DATABASE]) {
    servers.push(machine.keep(await tcpListen({ namespace, host: "0.0.0.0", port }), (one) => one.close()));
  }
  const rulesFile = machine.path(`${name}.yaml`);
  await writeRules(rulesFile, "deny");
  const process = await machine.start({
    name,
    program: "nse-firewall",
    namespace,
    args: [
      ...["--listen-on", machine.url(name), "--connect-to", machine.url("nsmgr")],
      ...["--service", SERVICE, "--cidr", "172.16.1.0/24", "--config", rulesFile],
    ],
  });
  return {
    name,
    process,
    namespace,
    rulesFile,
    async kill() {
      const dead = process.kill("SIGKILL");
      const closed = servers.map((server) => server.close());
      namespace.close();
      await Promise.all([dead, ...closed]);
    },
  };
}

/** A client, and the namespace of its interface. */
export interface Client {
  readonly process: RunningProcess;
  readonly namespace: NetworkNamespace;
}

/** Requests the firewall service. From then on, the client keeps the connection up. */
export async function startClient(machine: Machine): Promise<Client> {
  const namespace = await machine.namespace();
  await countSent(namespace, INTERFACE);
  const args = ["--connect-to", machine.url("nsmgr"), "--request", `kernel://${SERVICE}/${INTERFACE}`];
  return { process: await machine.start({ name: "nsc", program: "nsc", args, namespace }), namespace };
}

/**
 * Waits for the next matching event and returns its connection.
 *
 * @throws NsmError with the client's own failure, if the client fails finally or the time is over
 */
export async function nextConnection(
  { process }: Client,
  wanted: string | ((connection: Connection) => boolean),
  timeoutMs = 15_000,
): Promise<Connection> {
  const fits: EventMatch =
    typeof wanted === "string"
      ? ({ event }) => event === wanted
      : ({ event, connection }) => event !== "failed" && wanted(Connection.fromJSON(connection));
  let failure: ProcessEvent | undefined;
  const match = (event: ProcessEvent): boolean => {
    if (event.event === "failed") failure = event;
    return fits(event) || (event.event === "failed" && event.retrying === false);
  };
  const reason = (): string =>
    (failure?.error as { message?: string } | undefined)?.message ?? "no reason given";
  try {
    const found = await process.events.next(match, { timeoutMs });
    if (fits(found)) return Connection.fromJSON(found.connection);
  } catch (cause) {
    if (!failure) throw cause;
    throw new NsmError(
      Code.DeadlineExceeded,
      `within ${timeoutMs} ms the client only reported: ${reason()}`,
      { cause },
    );
  }
  throw new NsmError(Code.Aborted, `the client failed: ${reason()}`);
}
