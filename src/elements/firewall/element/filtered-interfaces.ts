import { Code, explain, NsmError, type Clock, type DebugState, type Logger } from "../../../core/index.js";
import { SerialQueue } from "../../../core/serial-queue.js";
import { assertLinkName } from "../../../linux/rtnetlink/link-name.js";
import { compile } from "../table/compile.js";
import { LinkIds } from "./link-ids.js";
import { LinkWatch } from "./link-watch.js";
import { HIGHEST_NUMBER, LINK_BITS, markOf, readMemory, type TableEntry } from "../table/memory.js";
import type { PacketFilter } from "./packet-filter.js";
import type { RuleSet } from "../rules/rule.js";
import { removeAbandoned } from "../table/tables.js";

/** Options of {@link FilteredInterfaces}. */
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
 * The interfaces that the table filters, and the rules in force. An interface stays filtered as long as it
 * exists: also after its connection was closed, because the forwarder removes it later, and if an earlier
 * process requested it. Concurrent changes are applied together.
 */
export class FilteredInterfaces {
  private readonly own = new Set<FilteredInterface>();
  /** The members of `own` that the table does not filter yet. */
  private fresh = new Set<FilteredInterface>();
  /** Interfaces without a connection, with the addresses of their clients. */
  private readonly orphans = new Map<string, readonly string[]>();
  private readonly ids = new LinkIds();
  private readonly turns = new SerialQueue();
  private readonly watch: LinkWatch;
  private coming: Promise<void> | undefined;
  private rules: RuleSet;
  private generation = 0;
  private tookOver = false;
  /** Whether this process has written the table. */
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

  /** Filters an interface that exists or is about to be created. */
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

  /**
   * Releases the interface of a connection. Filtering stops when the interface is gone. Never fails; failures
   * are retried.
   */
  async release(wire: FilteredInterface): Promise<void> {
    this.own.delete(wire);
    this.orphans.set(wire.name, wire.sources);
    await this.watch.lookNow();
  }

  /** Updates the table to the current interfaces and rules. */
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

  /** Replaces the rules. If the kernel rejects them, the earlier rules stay. */
  async replaceRules(rules: RuleSet): Promise<void> {
    await this.turns.run(async () => {
      await this.write(rules);
      this.rules = rules;
    });
  }

  /** Removes the table, unless it filters interfaces that exist or may still be created. Returns their number. */
  async close(): Promise<number> {
    if (this.ended) return 0;
    this.ended = true;
    this.watch.close();
    const { filter, table } = this.options;
    return this.turns.run(async () => {
      if (!this.wrote) return 0; // there is no table, or another process owns it
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

  /** The interfaces to filter, each with the client addresses of all its connections. */
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
        await this.forgetConnections(id); // flows of an earlier process
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
    if (this.ended) throw new NsmError(Code.FailedPrecondition, `firewall ${table} is stopped`);
  }

  /** Takes over the interfaces of an earlier process that still exist, and their flows. */
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
      logger.warn({ error: explain(error) }, "could not remove the tables of earlier firewalls"),
    );
    if (this.orphans.size > 0) this.watch.lookLater();
  }

  /**
   * Rejects the name of an interface that is not a vWire, because the firewall would block its traffic
   * permanently.
   */
  private async assertOurs(name: string): Promise<void> {
    const link = await this.options.filter.link(name);
    if (!link?.up || this.orphans.has(name) || /^(client|server)-/.test(link.alias ?? "")) return;
    if (this.isOpen(name)) return;
    throw new NsmError(
      Code.AlreadyExists,
      `interface name "${name}" of the connection is taken in the endpoint's namespace by an interface that is not a vWire`,
    );
  }

  private isOpen(name: string): boolean {
    return [...this.own].some((wire) => wire.name === name);
  }

  private async repair(): Promise<void> {
    const { filter, table, logger } = this.options;
    const { generation } = readMemory((await filter.counters(table)).keys());
    if (generation === this.generation) return;
    logger.warn({ table }, "another program removed the firewall's table, writing it again");
    await this.apply();
  }

  /** Forgets orphans that are gone or have a connection again. Returns whether any orphans are left. */
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

/** The next generation. 0 marks flows that no rules have allowed. */
function after(generation: number): number {
  return (generation % HIGHEST_NUMBER) + 1;
}
