/**
 * Typed access to nftables: tables, chains, sets and rules, sent to the kernel over netlink in one transaction.
 *
 * @example
 * import { newNamespace } from "nsm-sdk/linux";
 * import { accept, ctState, nftablesIn, rule } from "nsm-sdk/linux/nftables";
 *
 * await nftablesIn(newNamespace()).replaceTable({
 *   family: "inet",
 *   name: "example",
 *   chains: [
 *     { name: "in", hook: { name: "input", policy: "drop" }, rules: [rule([ctState("established"), accept()])] },
 *   ],
 * });
 *
 * @packageDocumentation
 */
export { nftablesIn, type CounterValue, type ListedTable, type Nftables } from "./nftables.js";
export type { Chain, Hook, Table } from "./table.js";
export { rule, type FilterRule } from "./rule.js";
export { etherType, icmp, icmpv6, ip, ip6, meta, sctp, tcp, udp } from "./fields.js";
export type { Port, Protocol } from "./fields.js";
export { ctMark, ctOriginal, setCtMark, setCtMarkBits, setCtZone } from "./connection.js";
export type { NumberByLink } from "./connection.js";
export { foreignSource, type LinkAddress } from "./foreign-source.js";
export { accept, counter, ctDirection, ctState, drop, jump, leave, limit, reject } from "./statements.js";
export type { ConnectionState } from "./statements.js";
export type { Field } from "./field.js";
export type { Statement } from "./statement.js";
export type { Family } from "./encoding.js";
