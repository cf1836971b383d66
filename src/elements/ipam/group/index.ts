/**
 * Several pools of addresses side by side: each connection gets a pair from every group, within a group from the
 * first prefix with room. One group for IPv4 and one for IPv6 make a dual stack.
 *
 * Server side, in an endpoint; where pointToPointIpam() would stand.
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

/** How a group gives addresses. */
export interface GroupIpamOptions {
  /** Makes the element of one group; the others' prefixes are none of its business. Default: pointToPointIpam(). */
  readonly ipam?: (prefixes: readonly string[], others: readonly string[]) => NetworkServiceElement;
}

/**
 * An element for each group, in order.
 *
 * @throws NsmError INVALID_ARGUMENT without groups, for an empty one and for what is no prefix.
 */
export function groupIpam(
  groups: readonly (readonly string[])[],
  { ipam = (prefixes, others) => pointToPointIpam({ prefixes, others }) }: GroupIpamOptions = {},
): Elements<NetworkService> {
  if (groups.length === 0)
    throw new NsmError(Code.InvalidArgument, "no group of prefixes is given to take addresses from");
  return groups.map((prefixes) => ipam(prefixes, groups.filter((other) => other !== prefixes).flat()));
}
