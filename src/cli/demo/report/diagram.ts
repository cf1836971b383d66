import { pathOf, type Connection } from "../../../api/index.js";

/** The names of the processes on a connection's path. */
export function pathNames(connection: Connection): readonly string[] {
  return pathOf(connection).pathSegments.map(({ name }) => name);
}

/** One end of a vWire in the diagram. */
export interface DiagramEnd {
  /** The process that owns the namespace. */
  readonly process: string;
  readonly namespace: string;
  readonly interfaceName: string;
  readonly address: string;
}

/**
 * Draws a connection as text: the processes on its path above, the vWire below.
 *
 * ```
 * nsc ──▶ nsmgr ──▶ forwarder ──▶ fw-1
 *
 * ┌────────────────────────┐                  ┌────────────────────────┐
 * │ nsc                    │                  │ fw-1                   │
 * │ net:[4026532601]       │    veth pair     │ net:[4026532603]       │
 * │ nsm-1     172.16.1.1/32╞══════════════════╡172.16.1.0/32 firewall-a│
 * └────────────────────────┘                  └────────────────────────┘
 * ```
 */
export function diagram(
  path: readonly string[],
  client: DiagramEnd,
  endpoint: DiagramEnd,
): readonly string[] {
  const left = [client.process, client.namespace, `${client.interfaceName}  ${client.address}`];
  const right = [endpoint.process, endpoint.namespace, `${endpoint.address}  ${endpoint.interfaceName}`];
  const [leftWidth, rightWidth] = [widest(left), widest(right)];
  const row = (i: number, wire: string, [open, close] = ["│", "│"]): string =>
    `│ ${left[i]!.padEnd(leftWidth)} ${open}${wire}${close} ${right[i]!.padEnd(rightWidth)} │`;
  const edge = (from: string, to: string): string =>
    `${from}${"─".repeat(leftWidth + 2)}${to}${" ".repeat(WIRE)}${from}${"─".repeat(rightWidth + 2)}${to}`;
  return [
    path.join(" ──▶ "),
    "",
    edge("┌", "┐"),
    row(0, " ".repeat(WIRE)),
    row(1, centered("veth pair")),
    row(2, "═".repeat(WIRE), ["╞", "╡"]),
    edge("└", "┘"),
  ];
}

const WIRE = 17;

function widest(lines: readonly string[]): number {
  return Math.max(...lines.map(({ length }) => length));
}

function centered(text: string): string {
  return text.padStart(Math.floor((WIRE + text.length) / 2)).padEnd(WIRE);
}
