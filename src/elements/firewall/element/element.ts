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
import type { CounterValue } from "../../../linux/index.js";
import { addressesOf, formatAddress } from "../../../net/index.js";
import { deniedCounter, establishedCounter, foreignCounter } from "../table/compile.js";
import { ruleCounter } from "../table/decisions.js";
import { kernelPacketFilter, type PacketFilter } from "./packet-filter.js";
import type { Rule, RuleSet } from "../rules/rule.js";
import { checkRules } from "../rules/check.js";
import type { RulesSource } from "../config/watched-rules.js";
import { tableName } from "../table/tables.js";
import { FilteredInterfaces, type FilteredInterface } from "./filtered-interfaces.js";

/** What a firewall filters, and by what. */
export interface FirewallOptions {
  /**
   * The endpoint's name: its table is called `nsm-firewall-<name>`. The process after this one finds by it what
   * this one left; two endpoints of one namespace must not share it.
   */
  readonly name: string;
  /** Rules, or a source of rules that change; stop() ends the source too. */
  readonly rules: readonly Rule[] | RuleSet | RulesSource;
  /** The namespace of the endpoint's interfaces, as path or file URL. Default: that of this process. */
  readonly netns?: string;
  /**
   * Accepts packets whose source is not an address of the connection's client: for clients that route for others.
   * Rules with `from` then trust what clients write into their packets. Default: false.
   */
  readonly allowForeignSources?: boolean | undefined;
  /** Told whenever the rules of a source came into force or were refused. */
  readonly onEvent?: (event: FirewallEvent) => void;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Default: the kernel's. */
  readonly filter?: PacketFilter;
}

/** What became of rules that have changed: how many are in force, or why those of before stay. */
export type FirewallEvent =
  | { readonly event: "rules"; readonly rules: number }
  | { readonly event: "rules-refused"; readonly error: string };

/** What a firewall has counted since its table was made. */
export interface FirewallCounters {
  /** In the order of the rules: packets of the side that began the connection. */
  readonly rules: readonly (CounterValue & { readonly name: string; readonly action: "allow" | "deny" })[];
  /** Replies, and packets of flows that a rule allowed by their first packet. */
  readonly established: CounterValue;
  /** What no rule allowed. */
  readonly denied: CounterValue;
  /** What came from an address that is not one of the connection's client. */
  readonly foreign: CounterValue;
}

/** The element, and what a program does with it beside. */
export interface Firewall extends NetworkServiceElement {
  /**
   * Makes the table now instead of at the first Request, so that a program without the privilege for it fails
   * when it starts.
   */
  prepare(): Promise<void>;
  counters(): Promise<FirewallCounters>;
  /**
   * Stops following the rules, and removes the table if no interface needs it any more. Interfaces that still stand
   * stay filtered by the rules of now until a firewall of the same name takes them over.
   */
  stop(): Promise<void>;
}

/**
 * See the module's description.
 *
 * @throws NsmError INVALID_ARGUMENT for rules that make no sense.
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
    logger.warn({ error: explain(error) }, "new rules refused, those of before stay in force");
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
        if (standing > 0)
          logger.info({ interfaces: standing, table }, "interfaces still stand and stay filtered");
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

/** The interface to filter. What cannot be filtered must not be answered. */
function interfaceOf({ id, mechanism }: Connection, filter: PacketFilter): string {
  const refuse = (why: string): NsmError =>
    new NsmError(Code.FailedPrecondition, `connection ${id} cannot be filtered: ${why}`);
  if (mechanism?.type !== MechanismType.Kernel) {
    throw refuse(`its mechanism is ${mechanism?.type ?? "not chosen yet"}, the firewall takes KERNEL`);
  }
  const { [Parameter.name]: name, [Parameter.inodeUrl]: inodeUrl } = mechanism.parameters;
  if (!name) throw refuse("its mechanism names no interface, which is kernelServer()'s to do");
  if (inodeUrl && !filter.isOf(inodeUrl)) {
    throw refuse(`its interface goes into ${inodeUrl}, the firewall filters another namespace`);
  }
  return name;
}

function clientAddresses({ context }: Connection): readonly string[] {
  const { ipContext } = context ?? {};
  return ipContext ? addressesOf(ipContext, "client").map(({ address }) => formatAddress(address)) : [];
}
