import { Code, NsmError } from "../../core/index.js";
import { type Attribute, attributes, be32, nested, text, textOf } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, type Request } from "../netlink/message.js";
import { assertLinkName } from "../rtnetlink/link-name.js";
import { type FilterRule, ruleMessages } from "./rule.js";
import { type Family, NFT_MSG, nftMessage } from "./encoding.js";

const TABLE = { NAME: 1, FLAGS: 2 } as const;
const OWNER = 2;
const PERSIST = 4;
const CHAIN = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const;
const HOOK = { NUMBER: 1, PRIORITY: 2, DEVICE: 3 } as const;
const OBJECT = { TABLE: 1, NAME: 2, TYPE: 3, DATA: 4 } as const;
const OBJECT_COUNTER = 1;
const RULE_TABLE = 1;
const longestName = 255;

const ipHooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4, ingress: 5 } as const;
const deviceHooks = { ingress: 0, egress: 1 } as const;

/** Where the kernel runs a chain. Chains without a hook run only by a jump. */
export interface Hook {
  /** `input`, `forward`, `output` …. netdev tables and inet ingress also need a `device`. */
  readonly name: keyof typeof ipHooks | keyof typeof deviceHooks;
  readonly device?: string;
  /**
   * Lower runs earlier. Below -200, connections are not tracked yet. Default: 0, the usual priority of
   * filters.
   */
  readonly priority?: number;
  /** The verdict for packets that no rule decides. Default: accept. */
  readonly policy?: "accept" | "drop";
}

/** An ordered list of rules. With a hook the kernel runs it; without one, other rules jump to it. */
export interface Chain {
  readonly name: string;
  readonly hook?: Hook;
  readonly rules?: readonly FilterRule[];
}

/** The desired state of a table: all of its chains, rules and counters. */
export interface Table {
  readonly family: Family;
  readonly name: string;
  readonly chains: readonly Chain[];
  /** Names of the counters that rules may use with `counter(name)`. Existing counters keep their count. */
  readonly counters?: readonly string[];
  /**
   * Prevents other programs from changing or flushing the table while this object is open. Afterwards the
   * table stays, and the next program that replaces it becomes its owner. Needs Linux 6.9; older kernels
   * create it unprotected. Default: false.
   */
  readonly owned?: boolean | undefined;
}

/** A message and its subject, for error messages. */
export interface Step {
  readonly subject: string;
  readonly request: Request;
  /** Set for rules. If the kernel reports "not found" for a rule, one of its modules is missing. */
  readonly rule?: true;
}

/** The part of a table that exists before the replacement. */
export interface Existing {
  /** Maps each chain name to its {@link hookKey}. */
  readonly chains: ReadonlyMap<string, string>;
  readonly counters: ReadonlySet<string>;
}

export function tableStep(operation: number, family: Family, name: string, owned = false): Step {
  const flags = operation === NFT_MSG.NEWTABLE ? NLM_F_CREATE : 0;
  const attributes = [text(TABLE.NAME, assertName("table", name))];
  if (owned) attributes.push(be32(TABLE.FLAGS, OWNER | PERSIST));
  return { subject: `table ${name}`, request: nftMessage(operation, family, attributes, flags) };
}

/** The steps from the existing to the desired state, for one transaction. */
export function replacement(table: Table, existing: Existing): Step[] {
  const { family, name, chains, counters = [] } = table;
  const steps: Step[] = [tableStep(NFT_MSG.NEWTABLE, family, name, table.owned)];
  const add = (subject: string, operation: number, list: Attribute[], flags = 0) =>
    steps.push({ subject, request: nftMessage(operation, family, list, flags) });

  const wanted = new Map(chains.map((chain) => [chain.name, hookKey(family, chain.hook)]));
  if (wanted.size < chains.length) {
    throw new NsmError(Code.InvalidArgument, `table ${name} has two chains of one name`);
  }
  if (existing.chains.size > 0) add("the old rules", NFT_MSG.DELRULE, [text(RULE_TABLE, name)]);
  for (const [chain, key] of existing.chains) {
    if (wanted.get(chain) !== key)
      add(`old chain ${chain}`, NFT_MSG.DELCHAIN, chainAttributes(table, { name: chain }));
  }
  const names: Names = { chains: wanted, counters: new Set(counters) };
  for (const old of existing.counters) {
    if (!names.counters.has(old)) add(`old counter ${old}`, NFT_MSG.DELOBJ, counterAttributes(name, old));
  }
  for (const counter of names.counters) {
    const data = nested(OBJECT.DATA);
    add(`counter ${counter}`, NFT_MSG.NEWOBJ, [...counterAttributes(name, counter), data], NLM_F_CREATE);
  }
  for (const chain of chains) {
    add(`chain ${chain.name}`, NFT_MSG.NEWCHAIN, chainAttributes(table, chain), NLM_F_CREATE);
  }
  let sets = 0;
  for (const chain of chains) {
    for (const [i, rule] of (chain.rules ?? []).entries()) {
      assertReferences(table, names, chain, rule, i);
      const subject = `rule ${i + 1} of chain ${chain.name}${rule.comment ? ` (${rule.comment})` : ""}`;
      const requests = ruleMessages(family, name, chain.name, rule, () => ++sets);
      steps.push(...requests.map((request) => ({ subject, request, rule: true as const })));
    }
  }
  return steps;
}

/** The names that rules of a table can refer to. */
interface Names {
  readonly chains: ReadonlyMap<string, unknown>;
  readonly counters: ReadonlySet<string>;
}

function assertReferences(
  { name: table }: Table,
  { chains, counters }: Names,
  chain: Chain,
  { statements }: FilterRule,
  index: number,
): void {
  for (const { uses } of statements) {
    const unknownChain = uses?.chain !== undefined && !chains.has(uses.chain);
    const unknownCounter = uses?.counter !== undefined && !counters.has(uses.counter);
    if (!unknownChain && !unknownCounter) continue;
    throw new NsmError(
      Code.InvalidArgument,
      `rule ${index + 1} of chain ${chain.name} uses the ${unknownChain ? "chain" : "counter"} ` +
        `"${uses.chain ?? uses.counter}", which does not exist in table ${table}`,
    );
  }
}

function chainAttributes({ family, name: table }: Table, { name, hook }: Chain): Attribute[] {
  const list = [text(CHAIN.TABLE, table), text(CHAIN.NAME, assertName("chain", name))];
  if (!hook) return list;
  const parts = [be32(HOOK.NUMBER, hookNumber(family, hook)), be32(HOOK.PRIORITY, hook.priority ?? 0)];
  if (hook.device !== undefined) parts.push(text(HOOK.DEVICE, assertLinkName(hook.device)));
  list.push(nested(CHAIN.HOOK, ...parts), text(CHAIN.TYPE, "filter"));
  list.push(be32(CHAIN.POLICY, hook.policy === "drop" ? 0 : 1));
  return list;
}

function counterAttributes(table: string, name: string): Attribute[] {
  const named = text(OBJECT.NAME, assertName("counter", name));
  return [text(OBJECT.TABLE, table), named, be32(OBJECT.TYPE, OBJECT_COUNTER)];
}

function hookNumber(family: Family, { name, device }: Hook): number {
  const onDevice = family === "netdev" || name === "ingress" || name === "egress";
  const number = (family === "netdev" ? deviceHooks : ipHooks)[name as "ingress"] as number | undefined;
  if (number === undefined) {
    const allowed = Object.keys(family === "netdev" ? deviceHooks : ipHooks).join(", ");
    throw new NsmError(Code.InvalidArgument, `a ${family} table has no hook "${name}": expected ${allowed}`);
  }
  if (onDevice !== (device !== undefined)) {
    const sentence = onDevice ? "needs the device it is for" : "is for all devices: match on iifname instead";
    throw new NsmError(Code.InvalidArgument, `hook "${name}" of a ${family} table ${sentence}`);
  }
  return number;
}

/** The properties of a hook that the kernel cannot change on an existing chain. It can change the policy. */
function hookKey(family: Family, hook: Hook | undefined): string {
  return hook ? `${hookNumber(family, hook)} ${hook.priority ?? 0} ${hook.device ?? ""}` : "";
}

/** Name of a listed table, and whether a process owns it or left it behind. */
export function decodeTable(data: Buffer): { name: string; owner: "none" | "process" | "gone" } | undefined {
  const found = attributes(data.subarray(4));
  const name = found.get(TABLE.NAME);
  const flags = found.get(TABLE.FLAGS)?.readUInt32BE() ?? 0;
  const owner = flags & OWNER ? "process" : flags & PERSIST ? "gone" : "none";
  return name && { name: textOf(name), owner };
}

/** Name, table and hook key of a listed chain. */
export function decodeChain({ data }: Message): { table: string; name: string; key: string } {
  const found = attributes(data.subarray(4));
  const hook = found.get(CHAIN.HOOK);
  return {
    table: textOf(found.get(CHAIN.TABLE) ?? Buffer.alloc(0)),
    name: textOf(found.get(CHAIN.NAME) ?? Buffer.alloc(0)),
    key: hook ? decodeHook(attributes(hook)) : "",
  };
}

function decodeHook(hook: ReadonlyMap<number, Buffer>): string {
  const device = hook.get(HOOK.DEVICE);
  const priority = hook.get(HOOK.PRIORITY)?.readInt32BE() ?? 0;
  return `${hook.get(HOOK.NUMBER)?.readUInt32BE() ?? 0} ${priority} ${device ? textOf(device) : ""}`;
}

function assertName(what: string, name: string): string {
  if (/^[A-Za-z_][\w./-]*$/.test(name) && name.length <= longestName) return name;
  throw new NsmError(
    Code.InvalidArgument,
    `"${name}" is not a name for a ${what}: expected a letter, then letters, digits and _ . / -, up to ${longestName} characters`,
  );
}
