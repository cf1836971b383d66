import type { Subscription } from "rxjs";
import { MechanismType, Parameter, type Connection } from "../../../api/index.js";
import {
  Code,
  explain,
  NsmError,
  silent,
  Slot,
  systemClock,
  type Clock,
  type Logger,
  type NetworkServiceElement,
} from "../../../core/index.js";
import type { CounterValue } from "../../../linux/nftables/index.js";
import { addressesOf, formatAddress } from "../../../net/index.js";
import { deniedCounter, establishedCounter, foreignCounter } from "../table/compile.js";
import { ruleCounter } from "../table/decisions.js";
import { kernelPacketFilter, type PacketFilter } from "./packet-filter.js";
import type { Rule, RuleSet } from "../rules/rule.js";
import { checkRules } from "../rules/check.js";
import type { RulesSource } from "../config/watched-rules.js";
import { tableName } from "../table/tables.js";
import { FilteredInterfaces, type FilteredInterface } from "./filtered-interfaces.js";

/** Options of firewall(). */
export interface FirewallOptions {
  /**
   * Name of the endpoint. The nftables table is called `nsm-firewall-<name>`. After a restart, the firewall
   * finds the earlier table by this name. Two endpoints in one namespace must use different names.
   */
  readonly name: string;
  /** The rules, or a source of changing rules. stop() also closes the source. */
  readonly rules: readonly Rule[] | RuleSet | RulesSource;
  /**
   * Network namespace of the endpoint's interfaces, as a path or file URL. Default: the namespace of this
   * process.
   */
  readonly netns?: string | undefined;
  /**
   * Accepts packets whose source is not an address of the connection's client, for clients that route for
   * others. Rules with `from` then trust source addresses that clients choose. Default: false.
   */
  readonly allowForeignSources?: boolean | undefined;
  /** Called when changed rules of a source are in force or were rejected. */
  readonly onEvent?: ((event: FirewallEvent) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  /** The packet filter. Default: the kernel's. */
  readonly filter?: PacketFilter | undefined;
}

/** The result of a rule change: the number of rules in force, or why the earlier rules stay. */
export type FirewallEvent =
  | { readonly event: "rules"; readonly rules: number }
  | { readonly event: "rules-refused"; readonly error: string };

/** The counters of a firewall since its table was created. */
export interface FirewallCounters {
  /** In the order of the rules: packets from the side that opened the flow. */
  readonly rules: readonly (CounterValue & { readonly name: string; readonly action: "allow" | "deny" })[];
  /** Replies, and later packets of flows that a rule allowed. */
  readonly established: CounterValue;
  /** Packets that no rule allowed. */
  readonly denied: CounterValue;
  /** Packets whose source is not an address of the connection's client. */
  readonly foreign: CounterValue;
}

/** The element, and operations for programs. */
export interface Firewall extends NetworkServiceElement {
  /**
   * Creates the table now instead of at the first Request, so that a program without the privilege fails when
   * it starts.
   */
  prepare(): Promise<void>;
  counters(): Promise<FirewallCounters>;
  /**
   * Stops watching the rules, and removes the table if no interface needs it. Remaining interfaces stay
   * filtered by the current rules until a firewall of the same name takes them over.
   */
  stop(): Promise<void>;
}

/**
 * Creates the element. See the module description.
 *
 * @throws NsmError INVALID_ARGUMENT for invalid rules.
 */
export function firewall(options: FirewallOptions): Firewall {
  const { netns, onEvent, clock = systemClock, logger = silent } = options;
  const { filter = kernelPacketFilter(netns) } = options;
  const source = "current" in options.rules ? options.rules : undefined;
  const table = tableName(options.name);
  const { allowForeignSources } = options;
  const rules = ruleSetOf(options.rules);
  const interfaces = new FilteredInterfaces({ filter, table, rules, allowForeignSources, clock, logger });
  const own = new Slot<FilteredInterface>("firewall", { release: (wire) => interfaces.release(wire) });

  const refused = (error: unknown): void => {
    logger.warn({ error: explain(error) }, "new rules rejected, the earlier rules stay in force");
    onEvent?.({ event: "rules-refused", error: explain(error) });
  };
  const replace = async (rules: RuleSet): Promise<void> => {
    try {
      await interfaces.replaceRules(rules);
      logger.info({ rules: rules.rules.length }, "new rules are in force");
      onEvent?.({ event: "rules", rules: rules.rules.length });
    } catch (error) {
      refused(error);
    }
  };
  const following: Subscription[] = source
    ? [source.changes.subscribe((rules) => void replace(rules)), source.refusals.subscribe(refused)]
    : [];

  return {
    name: "firewall",
    inside: ["connection-state"],
    provides: [own],
    debugState: () => interfaces.debugState(),
    prepare: () => interfaces.apply(),

    async counters() {
      const { rules } = interfaces.current;
      const values = await filter.counters(table);
      const valueOf = (name: string): CounterValue => values.get(name) ?? { packets: 0, bytes: 0 };
      return {
        rules: rules.map((rule) => ({
          name: rule.name,
          action: rule.action,
          ...valueOf(ruleCounter(rule)),
        })),
        established: valueOf(establishedCounter),
        denied: valueOf(deniedCounter),
        foreign: valueOf(foreignCounter),
      };
    },

    async stop() {
      for (const one of following) one.unsubscribe();
      source?.close();
      try {
        const standing = await interfaces.close();
        if (standing > 0) logger.info({ interfaces: standing, table }, "remaining interfaces stay filtered");
      } finally {
        filter.close();
      }
    },

    async request(ctx, request, next) {
      const response = await next.request(ctx, request);
      const name = interfaceOf(response, filter);
      const sources = clientAddresses(response);
      const before = own.get(ctx);
      if (before?.name !== name || before.sources.join() !== sources.join()) {
        own.set(ctx, await interfaces.add(name, sources));
      }
      return response;
    },
  };
}

function ruleSetOf(rules: FirewallOptions["rules"]): RuleSet {
  if ("current" in rules) return rules.current();
  return "rules" in rules ? rules : checkRules(rules);
}

/**
 * The interface to filter. Throws if the firewall cannot filter the connection, because such a connection must
 * not be established.
 */
function interfaceOf({ id, mechanism }: Connection, filter: PacketFilter): string {
  const refuse = (why: string): NsmError =>
    new NsmError(Code.FailedPrecondition, `connection ${id} cannot be filtered: ${why}`);
  if (mechanism?.type !== MechanismType.Kernel) {
    throw refuse(
      `its mechanism is ${mechanism?.type ?? "not chosen yet"}: the firewall supports KERNEL only`,
    );
  }
  const { [Parameter.name]: name, [Parameter.inodeUrl]: inodeUrl } = mechanism.parameters;
  if (!name) throw refuse("its mechanism names no interface: add kernelServer() to the chain");
  if (inodeUrl && !filter.isOf(inodeUrl)) {
    throw refuse(`its interface is in ${inodeUrl}, but the firewall filters another namespace`);
  }
  return name;
}

function clientAddresses({ context }: Connection): readonly string[] {
  const { ipContext } = context ?? {};
  return ipContext ? addressesOf(ipContext, "client").map(({ address }) => formatAddress(address)) : [];
}
