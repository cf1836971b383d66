/**
 * Filters the packets of an endpoint's connections. The filter is in force before the endpoint answers, and the
 * forwarder creates the interface after that, so no packet passes unfiltered. The filter is stateful: replies
 * to allowed packets pass. With an empty list of rules, everything passes. Otherwise a packet that no rule
 * allows is dropped.
 *
 * New rules apply at once, also to open flows: flows that they deny are cut, all others continue. Clients can
 * send only from the addresses of their connection, and cannot change the endpoint's routes. The flows of each
 * client are tracked separately and forgotten with its interface.
 *
 * Server side, in an endpoint; after connectionState(), before or after mechanismsServer(). Reads namespace and
 * name of the interface from the answer's KERNEL mechanism, and the client's addresses from its IP context. The
 * firewall rejects other mechanisms, because it cannot filter them. An interface stays filtered after Close,
 * and after stop(), until it is gone.
 *
 * @example
 * import { chain, kernelServer, mechanismsServer, pointToPointIpam } from "nsm-sdk";
 * import { firewall, watchedRules } from "nsm-sdk/elements/firewall";
 *
 * const wall = firewall({ name: "firewall-1", rules: await watchedRules("/etc/firewall/config.yaml") });
 * await wall.prepare();
 * chain([...elements, pointToPointIpam({ prefixes }), wall, mechanismsServer({ KERNEL: kernelServer() })]);
 * console.log(await wall.counters());
 * await wall.stop();
 *
 * @packageDocumentation
 */
export {
  firewall,
  type Firewall,
  type FirewallCounters,
  type FirewallEvent,
  type FirewallOptions,
} from "./element/element.js";
export { kernelPacketFilter, type PacketFilter } from "./element/packet-filter.js";
export type { CheckedRule, Direction, Match, NumberRange, Rule, RuleSet } from "./rules/rule.js";
export { parseRules } from "./config/parse-rules.js";
export { checkRules } from "./rules/check.js";
export { watchedRules, type RulesSource, type WatchedRulesOptions } from "./config/watched-rules.js";
