import { isDeepStrictEqual } from "node:util";
import { Code, NsmError } from "../../../core/index.js";
import type { FirewallCounters } from "../../../elements/firewall/index.js";
import { type NetworkNamespace } from "../../../linux/index.js";
import {
  accept,
  counter,
  icmp,
  meta,
  nftablesIn,
  rule,
  tcp,
  type CounterValue,
} from "../../../linux/nftables/index.js";
import type { RunningProcess } from "../../../programs/child/process.js";
import { DATABASE, ruleNames, WEB, type RuleName } from "../scenario/rules.js";

/** Packet counts by the rule that decides about them. */
export type Counts = Readonly<Record<RuleName, number>>;

const TABLE = "nsm-demo-sent";
const ECHO_REQUEST = 8;
/** Maximum time that packets can be in transit between the two counters, in milliseconds. */
const UNDER_WAY_MS = 1_000;

/**
 * Starts counting packets that leave the client's interface: the kernel's count to compare with the
 * firewall's.
 */
export async function countSent(namespace: NetworkNamespace, interfaceName: string): Promise<void> {
  const leaving = meta("oifname").eq(interfaceName);
  await nftablesIn(namespace).replaceTable({
    family: "inet",
    name: TABLE,
    counters: ruleNames,
    chains: [
      {
        name: "sent",
        hook: { name: "output" },
        rules: [
          rule([leaving, icmp("type").eq(ECHO_REQUEST), counter("ping"), accept()]),
          rule([leaving, tcp("dport").eq(WEB), counter("web"), accept()]),
          rule([leaving, tcp("dport").eq(DATABASE), counter("database"), accept()]),
        ],
      },
    ],
  });
}

/** Stops counting. */
export function stopCounting(namespace: NetworkNamespace): Promise<void> {
  return nftablesIn(namespace).deleteTable("inet", TABLE);
}

/** The packets that the client has sent so far. */
export async function sent(namespace: NetworkNamespace): Promise<Counts> {
  const values = await nftablesIn(namespace).counters("inet", TABLE);
  return counts((name) => values.get(name));
}

/**
 * The packets that the firewall's rules have decided about so far. SIGUSR2 makes the firewall report them.
 */
export async function decided(firewall: RunningProcess): Promise<Counts> {
  const reported = firewall.events.next("counters");
  process.kill(firewall.pid, "SIGUSR2");
  const { rules } = (await reported) as unknown as Pick<FirewallCounters, "rules">;
  return counts((wanted) => rules.find(({ name }) => name === wanted));
}

/** The counts of both sides. */
export interface CountsOfBoth {
  readonly sent: Counts;
  readonly counted: Counts;
}

/**
 * Reads both counts at a moment without packets in transit.
 *
 * @throws NsmError DATA_LOSS if they keep differing, or if there is nothing to compare
 */
export async function agreedCounts(
  client: NetworkNamespace,
  firewall: RunningProcess,
): Promise<CountsOfBoth> {
  const deadline = performance.now() + UNDER_WAY_MS;
  for (;;) {
    const both = { sent: await sent(client), counted: await decided(firewall) };
    const agree = isDeepStrictEqual(both.sent, both.counted);
    if (agree && ruleNames.every((name) => both.sent[name] > 0)) return both;
    if (agree || performance.now() > deadline) {
      const text = `sent: ${textOf(both.sent)}, ${firewall.name} counted: ${textOf(both.counted)}`;
      throw new NsmError(Code.DataLoss, text);
    }
  }
}

function counts(valueOf: (name: RuleName) => Pick<CounterValue, "packets"> | undefined): Counts {
  const entries = ruleNames.map((name) => [name, valueOf(name)?.packets ?? 0] as const);
  return Object.fromEntries(entries) as Counts;
}

function textOf(counts: Counts): string {
  return ruleNames.map((name) => `${name} ${counts[name]}`).join(", ");
}
