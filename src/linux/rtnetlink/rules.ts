import { Code, NsmError } from "../../core/index.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { ipText, parsePrefix } from "../ip-text.js";
import { type Attribute, attributes, bytes, text, textOf, u8, u32 } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.js";
import type { NetlinkSocket } from "../netlink/socket.js";
import { assertLinkName, assertRange } from "./link-name.js";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const FRA = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  PRIORITY: 6,
  TABLE: 15,
  IP_PROTO: 22,
  SPORT: 23,
  DPORT: 24,
} as const;
const FR_ACT_TO_TBL = 1;

/** Ports from `first` to `last`, inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Selects the routing table for matching packets. An omitted field matches every packet. */
export interface Rule {
  /** Required if neither `from` nor `to` is given. */
  readonly family?: 4 | 6;
  readonly from?: string;
  readonly to?: string;
  readonly incoming?: string;
  /** IP protocol number: 6 is TCP, 17 is UDP. */
  readonly protocol?: number;
  readonly sourcePorts?: PortRange;
  readonly destinationPorts?: PortRange;
  readonly table: number;
  /** Lower is evaluated first. Default: before all existing rules. */
  readonly priority?: number;
}

/** Policy routing rules of one namespace. */
export interface Rules {
  /** Adds a rule. Throws ALREADY_EXISTS if an equal rule exists. */
  addRule(rule: Rule): Promise<void>;
  /** Deletes the first matching rule. Throws NOT_FOUND if none matches. */
  deleteRule(rule: Rule): Promise<void>;
  /** Lists the rules that select a table, in evaluation order. Includes the kernel's three default rules. */
  rules(family: 4 | 6): Promise<readonly Rule[]>;
}

export function rules(socket: NetlinkSocket): Rules {
  const describe = (rule: Rule) => `the rule for table ${rule.table}${rule.from ? ` from ${rule.from}` : ""}`;
  return {
    async addRule(rule) {
      const flags = NLM_F_CREATE | NLM_F_EXCL;
      await socket.request(`add ${describe(rule)}`, { type: RTM_NEWRULE, flags, ...encodeRule(rule) });
    },
    async deleteRule(rule) {
      await socket.request(`delete ${describe(rule)}`, { type: RTM_DELRULE, flags: 0, ...encodeRule(rule) });
    },
    async rules(family) {
      const header = Buffer.alloc(12);
      header[0] = family === 4 ? AF_INET : AF_INET6;
      const listed = await socket.dump("list rules", { type: RTM_GETRULE, flags: 0, header });
      return listed.filter(({ data }) => data[7] === FR_ACT_TO_TBL).map(decodeRule);
    },
  };
}

/** Encodes fib_rule_hdr and its attributes. */
export function encodeRule(rule: Rule) {
  const from = rule.from === undefined ? undefined : parsePrefix(rule.from);
  const to = rule.to === undefined ? undefined : parsePrefix(rule.to);
  const family = from?.family ?? to?.family ?? (rule.family === 6 ? AF_INET6 : AF_INET);
  const asked = rule.family === undefined ? family : rule.family === 6 ? AF_INET6 : AF_INET;
  if ((to && to.family !== family) || asked !== family) {
    throw new NsmError(Code.InvalidArgument, `rule for table ${rule.table} mixes IPv4 and IPv6`);
  }
  const header = Buffer.alloc(12);
  header[0] = family;
  header[1] = to?.length ?? 0;
  header[2] = from?.length ?? 0;
  header[4] = rule.table < 256 ? rule.table : 0; // larger ones stand in the attribute only
  header[7] = FR_ACT_TO_TBL;

  const list: Attribute[] = [u32(FRA.TABLE, assertRange("routing table", rule.table, 1, 0xffffffff))];
  if (to && to.length > 0) list.push(bytes(FRA.DST, to.bytes));
  if (from && from.length > 0) list.push(bytes(FRA.SRC, from.bytes));
  if (rule.incoming !== undefined) list.push(text(FRA.IIFNAME, assertLinkName(rule.incoming)));
  if (rule.priority !== undefined) list.push(u32(FRA.PRIORITY, rule.priority));
  if (rule.protocol !== undefined)
    list.push(u8(FRA.IP_PROTO, assertRange("IP protocol", rule.protocol, 0, 255)));
  if (rule.sourcePorts) list.push(portRange(FRA.SPORT, rule.sourcePorts));
  if (rule.destinationPorts) list.push(portRange(FRA.DPORT, rule.destinationPorts));
  return { header, attributes: list };
}

export function decodeRule({ data }: Message): Rule {
  const found = attributes(data.subarray(12));
  const [to, from, incoming] = [found.get(FRA.DST), found.get(FRA.SRC), found.get(FRA.IIFNAME)];
  const protocol = found.get(FRA.IP_PROTO);
  const priority = found.get(FRA.PRIORITY);
  const [sourcePorts, destinationPorts] = [found.get(FRA.SPORT), found.get(FRA.DPORT)];
  return {
    family: data[0] === AF_INET ? 4 : 6,
    ...(from && { from: `${ipText(from)}/${data[2]}` }),
    ...(to && { to: `${ipText(to)}/${data[1]}` }),
    ...(incoming && { incoming: textOf(incoming) }),
    ...(protocol && { protocol: protocol[0]! }),
    ...(sourcePorts && { sourcePorts: decodeRange(sourcePorts) }),
    ...(destinationPorts && { destinationPorts: decodeRange(destinationPorts) }),
    table: found.get(FRA.TABLE)?.readUInt32LE() ?? data[4]!,
    priority: priority?.readUInt32LE() ?? 0,
  };
}

function portRange(type: number, { first, last }: PortRange): Attribute {
  const range = Buffer.alloc(4);
  range.writeUInt16LE(assertRange("port", first, 0, 65535), 0);
  range.writeUInt16LE(assertRange("port", last, first, 65535), 2);
  return bytes(type, range);
}

function decodeRange(range: Buffer): PortRange {
  return { first: range.readUInt16LE(0), last: range.readUInt16LE(2) };
}
