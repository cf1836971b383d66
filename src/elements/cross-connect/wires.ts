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
import type { Kernel, Namespace } from "./kernel.js";
import { keepWire, makeWire, type LaidWire, type Plan } from "./lay.js";
import { assertNameIsFree, clear, removeWire, standingPair, type Place } from "./veth.js";
import { keyOf, markOf, type Wire } from "./wire.js";

/** What the wires of a forwarder live in. */
export interface WiresOptions {
  readonly kernel: Kernel;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly until: AbortSignal;
}

/** How long until a removal that failed is tried again. */
const RETRY_MS = 60_000;

/**
 * All wires of this process and those that one before it left. What happens to one wire happens in turn; it
 * belongs to the connection that asked for it last. One that nobody has asked for yet goes when it expires.
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

  /** Whether the wire is there and belongs to whom it was given. */
  stands(wire: LaidWire | undefined): boolean {
    return wire !== undefined && this.laid.get(keyOf(wire.wire)) === wire;
  }

  /** Finds out what would go wrong at the client's end, while nothing has been done yet. */
  async check(connection: Connection, client: End): Promise<void> {
    const namespace = this.options.kernel.open(client.path);
    try {
      await assertNameIsFree(this.place(connection, client, namespace, namespace.id));
    } finally {
      namespace.close();
    }
  }

  /** Joins client and endpoint, by the wire that stands between them or by a new one. */
  async connect(
    ctx: Context,
    connection: Connection,
    ends: { readonly client: End; readonly endpoint: End },
    before: LaidWire | undefined,
  ): Promise<LaidWire> {
    const { kernel } = this.options;
    const atClient = kernel.open(ends.client.path);
    try {
      const client = this.place(connection, ends.client, atClient, atClient.id);
      const key = keyOf({ client: { namespace: atClient.id, alias: client.mark.alias } });
      if (before && keyOf(before.wire) !== key) await this.disconnect(before);
      return await this.inTurn(key, async () => {
        const atEndpoint = kernel.open(ends.endpoint.path);
        try {
          const endpoint = this.place(connection, ends.endpoint, atEndpoint, atClient.id);
          return await this.lay(key, { ctx, connection, client, endpoint });
        } finally {
          atEndpoint.close();
        }
      });
    } finally {
      atClient.close();
    }
  }

  /** Removes a wire, unless it has become somebody else's. */
  async disconnect(wire: LaidWire): Promise<void> {
    const key = keyOf(wire.wire);
    await this.inTurn(key, async () => {
      if (this.laid.get(key) === wire) await this.remove(key, wire.wire);
    });
  }

  /** Removes what a process before this one may have made for a connection. */
  async disconnectUnknown(connection: Connection, client: End): Promise<void> {
    const namespace = this.options.kernel.open(client.path);
    try {
      const place = this.place(connection, client, namespace, namespace.id);
      const key = keyOf({ client: { namespace: namespace.id, alias: place.mark.alias } });
      await this.inTurn(key, async () => {
        const known = this.laid.get(key);
        if (!known) await clear(place);
        else if (this.expiring.has(key)) await this.remove(key, known.wire);
      });
    } finally {
      namespace.close();
    }
  }

  /** Removes every wire. */
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
        // One of an earlier process has nobody here who would go on with it.
        if (!known?.configs) await this.said(this.drop(key, plan), "a wire that is of no use stays");
        throw error;
      }
    }

    await clear(plan.client, plan.endpoint);
    this.forget(key);
    try {
      return this.own(key, await makeWire(kernel, plan, (wire) => journal.write(wire)));
    } catch (error) {
      await this.said(journal.remove(key), "a wire that was not made stays in the journal");
      throw error;
    }
  }

  private async own(key: string, wire: LaidWire): Promise<LaidWire> {
    this.forget(key);
    this.laid.set(key, wire);
    // The wire stands and works: what comes after a restart is not worth failing for.
    await this.said(this.options.journal.write(wire.wire), "the journal is behind");
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
    await this.said(journal.remove(key), "a wire that is gone stays in the journal");
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
        "nobody asked for a wire again, removing it",
      );
      await this.remove(key, wire);
    };
    const due = (): void =>
      void this.inTurn(key, expire).catch((error: unknown) =>
        logger.warn({ error: explain(error) }, "an expired wire could not be removed, trying again later"),
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

  private place(connection: Connection, end: End, namespace: Namespace, clientNamespace: string): Place {
    return { ...end, namespace, mark: markOf(connection, clientNamespace, end.whose) };
  }

  /** Waits for what may fail without harm to the caller, and says so when it does. */
  private async said(work: Promise<void>, message: string): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.options.logger.warn({ error: explain(error) }, message);
    }
  }
}
