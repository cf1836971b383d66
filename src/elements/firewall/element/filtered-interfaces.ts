import { Code, explain, NsmError, type Clock, type DebugState, type Logger } from "../../../core/index.js";
import { SerialQueue } from "../../../core/serial-queue.js";
import { assertLinkName } from "../../../linux/index.js";
import { compile } from "../table/compile.js";
import { LinkIds } from "./link-ids.js";
import { LinkWatch } from "./link-watch.js";
import { HIGHEST_NUMBER, LINK_BITS, markOf, readMemory, type TableEntry } from "../table/memory.js";
import type { PacketFilter } from "./packet-filter.js";
import type { RuleSet } from "../rules/rule.js";
import { removeAbandoned } from "../table/tables.js";

/** What a firewall's interfaces live in. */
export interface FilteredInterfacesOptions {
  readonly filter: PacketFilter;
  readonly table: string;
  readonly rules: RuleSet;
  readonly allowForeignSources?: boolean | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One connection's interface, and the addresses of its client. */
export interface FilteredInterface {
  readonly name: string;
  readonly sources: readonly string[];
}

/**
 * The interfaces that the table filters, and the rules it filters them by. An interface stays filtered for as
 * long as it stands: also after its connection was closed, which the forwarder hears later, and when a process
 * before this one made it. Changes that come together are made together.
 */
export class FilteredInterfaces {
  private readonly own = new Set<FilteredInterface>();
  /** Those of `own` that no table filters yet. */
  private fresh = new Set<FilteredInterface>();
  /** Interfaces that stand without a connection, with the addresses of their clients. */
  private readonly orphans = new Map<string, readonly string[]>();
  private readonly ids = new LinkIds();
  private readonly turns = new SerialQueue();
  private readonly watch: LinkWatch;
  private coming: Promise<void> | undefined;
  private rules: RuleSet;
  private generation = 0;
  private tookOver = false;
  /** The table is ours. */
  private wrote = false;
  private ended = false;

  constructor(private readonly options: FilteredInterfacesOptions) {
    this.rules = options.rules;
    this.watch = new LinkWatch({
      ...options,
      look: () => this.look(),
      isOpen: (name) => this.isOpen(name),
      repair: () => this.repair(),
    });
  }

  /** The rules in force. */
  get current(): RuleSet {
    return this.rules;
  }

  debugState(): DebugState {
    return { interfaces: this.own.size, orphans: this.orphans.size };
  }

  /** Filters an interface, whether it is there or still to come. */
  async add(name: string, sources: readonly string[]): Promise<FilteredInterface> {
    assertLinkName(name);
    this.assertOpen();
    await this.assertOurs(name);
    const wire = { name, sources };
    this.own.add(wire);
    this.fresh.add(wire);
    await this.apply();
    this.watch.harden(name);
    return wire;
  }

  /** Forgets a connection's interface and stops filtering it when it is gone. Never fails: it tries again. */
  async release(wire: FilteredInterface): Promise<void> {
    this.own.delete(wire);
    this.orphans.set(wire.name, wire.sources);
    await this.watch.lookNow();
  }

  /** Brings the table into line with the interfaces and rules of now. */
  apply(): Promise<void> {
    this.coming ??= this.turns.run(async () => {
      this.coming = undefined;
      const { fresh } = this;
      this.fresh = new Set();
      try {
        await this.write(this.rules);
      } catch (error) {
        for (const wire of fresh) this.own.delete(wire);
        throw error;
      }
    });
    return this.coming;
  }

  /** Filters by other rules; when the kernel refuses them, those of before stay. */
  async replaceRules(rules: RuleSet): Promise<void> {
    await this.turns.run(async () => {
      await this.write(rules);
      this.rules = rules;
    });
  }

  /** Removes the table, unless it filters interfaces that still stand or may still come. Returns their number. */
  async close(): Promise<number> {
    if (this.ended) return 0;
    this.ended = true;
    this.watch.close();
    const { filter, table } = this.options;
    return this.turns.run(async () => {
      if (!this.wrote) return 0; // there is no table, or it is that of another process
      const names = new Set([...this.own].map(({ name }) => name));
      for (const name of this.orphans.keys()) if (await filter.link(name)) names.add(name);
      if (names.size === 0) await filter.deleteTable(table);
      this.own.clear();
      this.orphans.clear();
      return names.size;
    });
  }

  private async write(rules: RuleSet): Promise<void> {
    const { filter, table, allowForeignSources } = this.options;
    this.assertOpen();
    if (!this.tookOver) await this.takeOver();
    const generation = rules === this.rules ? this.generation : after(this.generation);
    const interfaces = await this.numbered(this.sourcesByName());
    const { isProtected } = await filter.replaceTable(
      compile({ table, rules, generation, interfaces, allowForeignSources }),
    );
    this.generation = generation;
    this.wrote = true;
    const freed = this.ids.retain(new Set(interfaces.map(({ name }) => name)));
    for (const id of freed) await this.forgetConnections(id);
    this.watch.guard(!isProtected && interfaces.length > 0);
  }

  /** The interfaces to filter, each with every address that one of its connections has. */
  private sourcesByName(): ReadonlyMap<string, readonly string[]> {
    const found = new Map(this.orphans);
    for (const { name } of this.own) found.set(name, []);
    for (const { name, sources } of this.own) {
      found.set(name, [...new Set([...(found.get(name) ?? []), ...sources])]);
    }
    return found;
  }

  private async numbered(interfaces: ReadonlyMap<string, readonly string[]>): Promise<readonly TableEntry[]> {
    const links: TableEntry[] = [];
    for (const [name, sources] of interfaces) {
      let id = this.ids.get(name);
      if (id === undefined) {
        id = this.ids.allocate(name);
        await this.forgetConnections(id); // what a process before this one may have left
      }
      links.push({ name, id, sources });
    }
    return links;
  }

  private async forgetConnections(id: number): Promise<void> {
    await this.options.filter.forgetConnections({ mark: markOf({ id }, 0), mask: LINK_BITS });
  }

  private assertOpen(): void {
    const { table } = this.options;
    if (this.ended) throw new NsmError(Code.FailedPrecondition, `the firewall ${table} has been stopped`);
  }

  /** Continues where the process before this one ended: its interfaces that still stand, and their flows. */
  private async takeOver(): Promise<void> {
    const { filter, table, logger } = this.options;
    const { generation, links } = readMemory((await filter.counters(table)).keys());
    for (const { name, id, sources } of links) {
      if (!(await filter.link(name))) continue;
      this.orphans.set(name, sources);
      if (id !== undefined) this.ids.keep(name, id);
    }
    this.generation = after(generation);
    this.tookOver = true;
    await removeAbandoned(filter, table).catch((error: unknown) =>
      logger.warn({ error: explain(error) }, "tables of firewalls that are gone stay"),
    );
    if (this.orphans.size > 0) this.watch.lookLater();
  }

  /** An interface that is no wire must not be asked for: it would be cut off, and stay so. */
  private async assertOurs(name: string): Promise<void> {
    const link = await this.options.filter.link(name);
    if (!link?.up || this.orphans.has(name) || /^(client|server)-/.test(link.alias ?? "")) return;
    if (this.isOpen(name)) return;
    throw new NsmError(
      Code.AlreadyExists,
      `the connection's interface is to be called "${name}", but the endpoint's namespace has one that is no wire`,
    );
  }

  private isOpen(name: string): boolean {
    return [...this.own].some((wire) => wire.name === name);
  }

  private async repair(): Promise<void> {
    const { filter, table, logger } = this.options;
    const { generation } = readMemory((await filter.counters(table)).keys());
    if (generation === this.generation) return;
    logger.warn({ table }, "another program has removed the firewall's table; it is written again");
    await this.apply();
  }

  /** Forgets orphans that are gone or have a connection again. True when there are others. */
  private async look(): Promise<boolean> {
    const settled = new Map<string, readonly string[]>();
    try {
      for (const [name, sources] of this.orphans) {
        if (this.isOpen(name) || !(await this.options.filter.link(name))) settled.set(name, sources);
      }
      for (const name of settled.keys()) this.orphans.delete(name);
      if (settled.size > 0) await this.apply();
    } catch (error) {
      for (const [name, sources] of settled) this.orphans.set(name, sources);
      throw error;
    }
    return this.orphans.size > 0;
  }
}

/** The next generation; 0 is that of flows that no rules have allowed. */
function after(generation: number): number {
  return (generation % HIGHEST_NUMBER) + 1;
}
