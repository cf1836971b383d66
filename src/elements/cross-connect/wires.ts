import type { Connection } from "../../api/index.js";
import {
  explain,
  type CancelTimer,
  type Clock,
  type Context,
  type DebugState,
  type Logger,
} from "../../core/index.js";
import { SerialQueue } from "../../core/serial-queue.js";
import type { End } from "./ends.js";
import type { Journal } from "./journal.js";
import type { Kernel } from "./kernel.js";
import { keepWire, makeWire, type LaidWire, type Plan } from "./lay.js";
import { assertNameIsFree, clear, removeWire, standingPair, type Place } from "./veth.js";
import { keyOf, markOf, type Wire } from "./wire.js";

/** Options of {@link Wires}. */
export interface WiresOptions {
  readonly kernel: Kernel;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly until: AbortSignal;
}

/** Delay before a failed removal is retried, in milliseconds. */
const RETRY_MS = 60_000;

/**
 * All vWires of this process and those that an earlier process left. Operations on one vWire run one at a time.
 * A vWire belongs to the connection that requested it last. A vWire of an earlier process is removed when it
 * expires, unless it is requested again.
 */
export class Wires {
  private readonly laid = new Map<string, LaidWire>();
  private readonly expiring = new Map<string, CancelTimer>();
  private readonly turns = new Map<string, SerialQueue>();

  constructor(private readonly options: WiresOptions) {
    const { journal, clock, until } = options;
    for (const wire of journal.left) {
      this.laid.set(keyOf(wire), { wire, configs: undefined });
      this.expireIn(keyOf(wire), wire.expires - clock.now());
    }
    until.addEventListener("abort", () => this.expiring.forEach((cancel) => cancel()), { once: true });
  }

  debugState(): DebugState {
    const remembered = this.options.journal.isKept ? this.laid.size : 0;
    return { vWires: this.laid.size - this.expiring.size, journal: remembered, timers: this.expiring.size };
  }

  /** Whether the vWire exists and still belongs to the connection that it was returned to. */
  stands(wire: LaidWire | undefined): boolean {
    return wire !== undefined && this.laid.get(keyOf(wire.wire)) === wire;
  }

  /** Checks the client's end before anything is changed. */
  async check(connection: Connection, client: End): Promise<void> {
    await assertNameIsFree(await this.place(connection, client, client.namespace.id));
  }

  /** Connects client and endpoint by the existing vWire between them or by a new one. */
  async connect(
    ctx: Context,
    connection: Connection,
    ends: { readonly client: End; readonly endpoint: End },
    before: LaidWire | undefined,
  ): Promise<LaidWire> {
    const clientNamespace = ends.client.namespace.id;
    const client = await this.place(connection, ends.client, clientNamespace);
    const endpoint = await this.place(connection, ends.endpoint, clientNamespace);
    const key = keyOf({ client: { namespace: clientNamespace, alias: client.mark.alias } });
    if (before && keyOf(before.wire) !== key) await this.disconnect(before);
    return this.inTurn(key, () => this.lay(key, { ctx, connection, client, endpoint }));
  }

  /** Removes a vWire, unless it belongs to another connection now. */
  async disconnect(wire: LaidWire): Promise<void> {
    const key = keyOf(wire.wire);
    await this.inTurn(key, async () => {
      if (this.laid.get(key) === wire) await this.remove(key, wire.wire);
    });
  }

  /** Removes the vWire that an earlier process may have created for a connection. */
  async disconnectUnknown(connection: Connection, client: End): Promise<void> {
    const place = await this.place(connection, client, client.namespace.id);
    const key = keyOf({ client: { namespace: client.namespace.id, alias: place.mark.alias } });
    await this.inTurn(key, async () => {
      const known = this.laid.get(key);
      if (!known) await clear(place);
      else if (this.expiring.has(key)) await this.remove(key, known.wire);
    });
  }

  /** Removes every vWire. */
  async removeAll(): Promise<void> {
    await Promise.all([...this.laid.values()].map((wire) => this.disconnect(wire)));
  }

  private async lay(key: string, plan: Plan): Promise<LaidWire> {
    const { kernel, journal } = this.options;
    const pair = await standingPair(plan.client, plan.endpoint);
    const known = this.laid.get(key);
    if (pair) {
      try {
        return await this.own(key, await keepWire(plan, pair, known));
      } catch (error) {
        // No connection of this process uses a vWire of an earlier process, so it is removed.
        if (!known?.configs)
          await this.warnOnFailure(this.drop(key, plan), "could not remove an unused vWire");
        throw error;
      }
    }

    await clear(plan.client, plan.endpoint);
    this.forget(key);
    try {
      return this.own(key, await makeWire(kernel, plan, (wire) => journal.write(wire)));
    } catch (error) {
      await this.warnOnFailure(
        journal.remove(key),
        "could not remove a vWire that was not created from the journal",
      );
      throw error;
    }
  }

  private async own(key: string, wire: LaidWire): Promise<LaidWire> {
    this.forget(key);
    this.laid.set(key, wire);
    // The vWire works. A journal that lags behind must not fail the Request.
    await this.warnOnFailure(
      this.options.journal.write(wire.wire),
      "could not record a vWire in the journal",
    );
    return wire;
  }

  private async drop(key: string, { client, endpoint }: Plan): Promise<void> {
    await clear(client, endpoint);
    await this.options.journal.remove(key);
    this.forget(key);
  }

  private forget(key: string): void {
    this.expiring.get(key)?.();
    this.expiring.delete(key);
    this.laid.delete(key);
  }

  private async remove(key: string, wire: Wire): Promise<void> {
    const { kernel, journal } = this.options;
    try {
      await removeWire(kernel, wire);
    } catch (error) {
      this.expireIn(key, RETRY_MS);
      throw error;
    }
    await this.warnOnFailure(journal.remove(key), "could not remove a deleted vWire from the journal");
    this.forget(key);
  }

  private expireIn(key: string, ms: number): void {
    const { clock, logger, until } = this.options;
    this.expiring.get(key)?.();
    this.expiring.delete(key);
    if (until.aborted) return;
    const expire = async (): Promise<void> => {
      const wire = this.laid.get(key)?.wire;
      if (!wire || !this.expiring.has(key)) return;
      logger.info(
        { connection: wire.connection, link: wire.client.name },
        "removing a vWire that was not requested again",
      );
      await this.remove(key, wire);
    };
    const due = (): void =>
      void this.inTurn(key, expire).catch((error: unknown) =>
        logger.warn({ error: explain(error) }, "could not remove an expired vWire, will retry"),
      );
    this.expiring.set(key, clock.after(ms, due));
  }

  private async inTurn<R>(key: string, job: () => Promise<R>): Promise<R> {
    const turn = this.turns.get(key) ?? new SerialQueue();
    this.turns.set(key, turn);
    try {
      return await turn.run(job);
    } finally {
      if (turn.idle) this.turns.delete(key);
    }
  }

  private async place(connection: Connection, end: End, clientNamespace: string): Promise<Place> {
    const reachableId = await end.namespace.reachableId();
    return { ...end, reachableId, mark: markOf(connection, clientNamespace, end.whose) };
  }

  /** Waits for work whose failure does not affect the caller, and logs a failure. */
  private async warnOnFailure(work: Promise<void>, message: string): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.options.logger.warn({ error: explain(error) }, message);
    }
  }
}
