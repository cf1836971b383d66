/** ICMP types by name (from the IANA registries, spelled as in nft). */
const ipv4: Readonly<Record<string, number>> = {
  "echo-reply": 0,
  "destination-unreachable": 3,
  redirect: 5,
  "echo-request": 8,
  "router-advertisement": 9,
  "router-solicitation": 10,
  "time-exceeded": 11,
  "parameter-problem": 12,
  "timestamp-request": 13,
  "timestamp-reply": 14,
};

const ipv6: Readonly<Record<string, number>> = {
  "destination-unreachable": 1,
  "packet-too-big": 2,
  "time-exceeded": 3,
  "parameter-problem": 4,
  "echo-request": 128,
  "echo-reply": 129,
  redirect: 137,
};

/** The number of a type in one IP version, or undefined if that version has no such type. */
export function icmpType(name: string, family: 4 | 6): number | undefined {
  const types = family === 4 ? ipv4 : ipv6;
  return Object.hasOwn(types, name) ? types[name] : undefined;
}

/** All type names. */
export const icmpTypeNames: readonly string[] = [...new Set([...Object.keys(ipv4), ...Object.keys(ipv6)])];
