import { isDeepStrictEqual } from "node:util";
import { Code, NsmError } from "../../../core/index.js";
import type { FirewallCounters } from "../../../elements/firewall/index.js";
import {
  accept,
  counter,
  icmp,
  meta,
  nftablesIn,
  rule,
  tcp,
  type CounterValue,
  type NetworkNamespace,
} from "../../../linux/index.js";
import type { RunningProcess } from "../../../programs/child/process.js";
import { DATABASE, ruleNames, WEB, type RuleName } from "../scenario/rules.js";

/** Packets by the rule that decides about them. */
export type Counts = Readonly<Record<RuleName, number>>;

const TABLE = "nsm-demo-sent";
const ECHO_REQUEST = 8;
/** How long packets may be under way that have left and not arrived. */
const UNDER_WAY_MS = 1_000;

/** Begins to count in the client's namespace what leaves by an interface: the kernel's word against the firewall's. */
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

/** What has left the client so far. */
export async function sent(namespace: NetworkNamespace): Promise<Counts> {
  const values = await nftablesIn(namespace).counters("inet", TABLE);
  return counts((name) => values.get(name));
}

/** What a firewall's rules have decided about so far, as it says itself when it is asked by SIGUSR2. */
export async function decided(firewall: RunningProcess): Promise<Counts> {
  const told = firewall.events.next("counters");
  process.kill(firewall.pid, "SIGUSR2");
  const { rules } = (await told) as unknown as Pick<FirewallCounters, "rules">;
  return counts((wanted) => rules.find(({ name }) => name === wanted));
}

/** What one side sent, and what the other one counted. */
export interface CountsOfBoth {
  readonly sent: Counts;
  readonly counted: Counts;
}

/**
 * Counts on both sides at a moment when nothing is under way between them.
 *
 * @throws NsmError DATA_LOSS when they differ and go on to differ, or when there is nothing to compare
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
      const text = `sent were ${told(both.sent)}, ${firewall.name} counted ${told(both.counted)}`;
      throw new NsmError(Code.DataLoss, text);
    }
  }
}

function counts(valueOf: (name: RuleName) => Pick<CounterValue, "packets"> | undefined): Counts {
  const entries = ruleNames.map((name) => [name, valueOf(name)?.packets ?? 0] as const);
  return Object.fromEntries(entries) as Counts;
}

function told(counts: Counts): string {
  return ruleNames.map((name) => `${name} ${counts[name]}`).join(", ");
}
