/**
 * Several address pools for one connection. Each connection gets a pair of addresses from every group, and
 * within a group from the first prefix with free addresses. One group for IPv4 and one for IPv6 make a dual
 * stack.
 *
 * Server side, in an endpoint; in place of pointToPointIpam().
 *
 * @example
 * import { chain, kernelServer, mechanismsServer } from "nsm-sdk";
 * import { groupIpam } from "nsm-sdk/elements/ipam/group";
 *
 * chain([
 *   ...elements,
 *   groupIpam([["172.16.1.0/24"], ["fd00::/116"]]),
 *   mechanismsServer({ KERNEL: kernelServer() }),
 * ]);
 *
 * @packageDocumentation
 */
import {
  Code,
  NsmError,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../../../core/index.js";
import { pointToPointIpam } from "../point-to-point/index.js";

/** Options of groupIpam(). */
export interface GroupIpamOptions {
  /**
   * Creates the element of one group. It must not change addresses of the prefixes in `others`. Default:
   * pointToPointIpam().
   */
  readonly ipam?:
    ((prefixes: readonly string[], others: readonly string[]) => NetworkServiceElement) | undefined;
}

/**
 * Creates one element per group, in order.
 *
 * @throws NsmError INVALID_ARGUMENT if there is no group, if a group is empty, or if a prefix is invalid.
 */
export function groupIpam(
  groups: readonly (readonly string[])[],
  { ipam = (prefixes, others) => pointToPointIpam({ prefixes, others }) }: GroupIpamOptions = {},
): Elements<NetworkService> {
  if (groups.length === 0)
    throw new NsmError(Code.InvalidArgument, "no address prefixes: groupIpam() needs at least one group");
  return groups.map((prefixes) => ipam(prefixes, groups.filter((other) => other !== prefixes).flat()));
}
