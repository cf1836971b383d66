import {
  backoff,
  Code,
  explain,
  NsmError,
  SerialQueue,
  type CancelTimer,
  type Clock,
  type DebugState,
  type Logger,
} from "../../core/index.js";
import { assertLinkName } from "../../linux/index.js";
import { compile, filteredWires } from "./compile.js";
import type { PacketFilter } from "./packet-filter.js";
import type { RuleSet } from "./rule.js";

/** What a firewall's wires live in. */
export interface FilteredWiresOptions {
  readonly filter: PacketFilter;
  readonly table: string;
  readonly rules: RuleSet;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One connection's interface. */
export interface FilteredWire {
  readonly name: string;
}

/** How often to look whether an interface without a connection is gone. */
const LOOK_AGAIN = { initialMs: 50, maxMs: 5_000 };

/**
 * The interfaces that the table filters, and the rules it filters them by. An interface stays filtered for as
 * long as it stands: also after its connection was closed, which the forwarder hears later, and when a process
 * before this one made it. Changes that come together are made together.
 */
export class FilteredWires {
  private readonly own = new Set<FilteredWire>();
  /** Those of `own` that no table filters yet. */
  private fresh = new Set<FilteredWire>();
  /** Interfaces that stand without a connection. */
  private readonly orphans = new Set<string>();
  private readonly turns = new SerialQueue();
  private coming: Promise<void> | undefined;
  private rules: RuleSet;
  private tookOver = false;
  private ended = false;
  private cancelLook: CancelTimer | undefined;
  private wait = backoff(LOOK_AGAIN);

  constructor(private readonly options: FilteredWiresOptions) {
    this.rules = options.rules;
  }

  /** The rules in force. */
  get current(): RuleSet {
    return this.rules;
  }

  debugState(): DebugState {
    return { wires: this.own.size, orphans: this.orphans.size };
  }

  /** Filters an interface, whether it is there or still to come. */
  async add(name: string): Promise<FilteredWire> {
    assertLinkName(name);
    this.assertOpen();
    await this.assertOurs(name);
    const wire = { name };
    this.own.add(wire);
    this.fresh.add(wire);
    await this.apply();
    return wire;
  }

  /** Forgets a connection's interface and stops filtering it when it is gone. Never fails: it tries again. */
  async release(wire: FilteredWire): Promise<void> {
    this.own.delete(wire);
    this.orphans.add(wire.name);
    await this.dropGone();
  }

  /** Brings the table into line with the wires and rules of now. */
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

  /** Takes the table away. */
  async close(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.cancelLook?.();
    const { filter, table } = this.options;
    await this.turns.run(() => filter.deleteTable(table));
    this.own.clear();
    this.orphans.clear();
  }

  private async write(rules: RuleSet): Promise<void> {
    const { filter, table } = this.options;
    this.assertOpen();
    if (!this.tookOver) await this.takeOver();
    const names = new Set([...[...this.own].map(({ name }) => name), ...this.orphans]);
    await filter.replaceTable(compile({ table, rules, wires: [...names] }));
  }

  private assertOpen(): void {
    const { table } = this.options;
    if (this.ended) throw new NsmError(Code.FailedPrecondition, `the firewall ${table} has been stopped`);
  }

  /** What a predecessor filtered and still stands would be open to everybody otherwise. */
  private async takeOver(): Promise<void> {
    const { filter, table } = this.options;
    for (const name of filteredWires((await filter.counters(table)).keys())) {
      if (await filter.link(name)) this.orphans.add(name);
    }
    this.tookOver = true;
    this.lookLater();
  }

  /** An interface that is no wire must not be asked for: it would be cut off, and stay so. */
  private async assertOurs(name: string): Promise<void> {
    const link = await this.options.filter.link(name);
    if (!link?.up || this.orphans.has(name) || /^(client|server)-/.test(link.alias ?? "")) return;
    if ([...this.own].some((wire) => wire.name === name)) return;
    throw new NsmError(
      Code.AlreadyExists,
      `the connection's interface is to be called "${name}", but the endpoint's namespace has one that is no wire`,
    );
  }

  private async dropGone(): Promise<void> {
    if (this.ended) return;
    const { filter, logger } = this.options;
    const gone: string[] = [];
    try {
      for (const name of this.orphans) {
        const taken = [...this.own].some((wire) => wire.name === name);
        if (taken) this.orphans.delete(name);
        else if (!(await filter.link(name))) gone.push(name);
      }
      for (const name of gone) this.orphans.delete(name);
      if (gone.length > 0) await this.apply();
    } catch (error) {
      if (this.ended) return;
      for (const name of gone) this.orphans.add(name);
      logger.warn({ error: explain(error) }, "interfaces that are gone are still in the packet filter");
    }
    this.lookLater();
  }

  private lookLater(): void {
    this.cancelLook?.();
    this.cancelLook = undefined;
    if (this.ended) return;
    if (this.orphans.size === 0) {
      this.wait = backoff(LOOK_AGAIN);
      return;
    }
    this.cancelLook = this.options.clock.after(this.wait(), () => void this.dropGone());
  }
}
