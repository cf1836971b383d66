import {
  ConnectionContext,
  connectionOf,
  MechanismType,
  patchConnection,
  type Connection,
} from "../../api/index.js";
import {
  explain,
  log,
  peer,
  silent,
  Slot,
  systemClock,
  throwFailures,
  type Clock,
  type Context,
  type Logger,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";
import { isLocalUrl } from "../../wire/index.js";
import { nextRemote } from "../dial/index.js";
import { endpointMechanism } from "../mechanism-translation/index.js";
import { endOf, type End } from "./ends.js";
import { journal, noJournal } from "./journal.js";
import type { Kernel } from "./kernel.js";
import type { LaidWire } from "./lay.js";
import { linuxKernel } from "./linux-kernel.js";
import { Wires } from "./wires.js";

/** Options of crossConnect(). */
export interface CrossConnectOptions {
  /** The lifetime of the program. Once it aborts, expired vWires are no longer removed. */
  readonly until: AbortSignal;
  /**
   * A directory that only this forwarder uses, where it records its vWires. After a restart, the forwarder
   * removes vWires whose connections are not refreshed. Without a directory, it recognizes an earlier vWire
   * only when the connection is requested again.
   */
  readonly stateDir?: string | undefined;
  readonly kernel?: Kernel | undefined;
  /** The clock for vWires of an earlier process, which expire outside of any call. */
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
}

/** The element, and the operation for the end of a program. */
export interface CrossConnect extends NetworkServiceElement {
  /** Removes all vWires: for a forwarder that no other process succeeds. */
  removeVWires(): Promise<void>;
}

/** MTU of a vWire if no hop sets one, in bytes. */
const DEFAULT_MTU = 9_000;

/**
 * Creates the element. See the module description.
 *
 * @throws NsmError FAILED_PRECONDITION if the state directory cannot be created or read.
 */
export function crossConnect(options: CrossConnectOptions): CrossConnect {
  const { until, stateDir, kernel = linuxKernel(), clock = systemClock, logger = silent } = options;
  const kept = stateDir === undefined ? noJournal : journal(stateDir, logger);
  const wires = new Wires({ kernel, journal: kept, clock, logger, until });
  // Changed in place, because changes of a refresh in the kernel remain if the refresh fails later.
  const own = new Slot<{ wire: LaidWire }>("cross-connect", {
    release: ({ wire }) => wires.disconnect(wire),
  });

  return {
    name: "cross-connect",
    inside: ["connection-state"],
    provides: [own],
    reads: [endpointMechanism],
    debugState: () => wires.debugState(),
    removeVWires: () => wires.removeAll(),

    async request(ctx, request, next) {
      const asked = connectionOf(request);
      if (asked.mechanism?.type !== MechanismType.Kernel) return next.request(ctx, request);
      const client = clientEnd(ctx, asked);
      await wires.check(asked, client);

      const response = await next.request(ctx, patchConnection(request, withMtu(asked)));
      ctx.throwIfDone();
      const known = own.get(ctx);
      try {
        const ends = { client, endpoint: endpointEnd(ctx) };
        const wire = await wires.connect(ctx, response, ends, known?.wire);
        if (known) known.wire = wire;
        else own.set(ctx, { wire });
      } catch (error) {
        // A failed change leaves the connection as it was. If its vWire is gone, the rest is closed too.
        if (known && !wires.stands(known.wire)) {
          own.take(ctx);
          await closeQuietly(ctx, response, next);
        }
        throw error;
      }
      return response;
    },

    async close(ctx, connection, next) {
      const wire = own.take(ctx)?.wire;
      const gone = wire ? wires.disconnect(wire) : disconnectUnknown(ctx, connection, wires);
      const ends = await Promise.allSettled([gone, next.close(ctx, connection)]);
      const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
      throwFailures(failures, `Close of connection ${connection.id} failed here and at the next hop`);
    },
  };
}

function clientEnd(ctx: Context, { mechanism }: Connection): End {
  return endOf(mechanism, { whose: "client", local: ctx.get(peer)?.local ?? false });
}

function endpointEnd(ctx: Context): End {
  const url = nextRemote.get(ctx)?.url;
  return endOf(endpointMechanism.get(ctx), {
    whose: "endpoint",
    local: url === undefined || isLocalUrl(url),
  });
}

function withMtu({ context }: Connection): Partial<Connection> {
  return { context: { ...(context ?? ConnectionContext.create()), MTU: context?.MTU || DEFAULT_MTU } };
}

/** Handles a Close of an unknown connection. An earlier process may have created its vWire. */
async function disconnectUnknown(ctx: Context, connection: Connection, wires: Wires): Promise<void> {
  let client: End;
  try {
    client = clientEnd(ctx, connection);
    await wires.disconnectUnknown(connection, client);
  } catch (error) {
    log(ctx).debug(
      { connection: connection.id, error: explain(error) },
      "found no vWire of an unknown connection",
    );
  }
}

async function closeQuietly(ctx: Context, connection: Connection, next: NetworkService): Promise<void> {
  try {
    await ctx.detached((c) => next.close(c, connection));
  } catch (error) {
    log(ctx).warn({ connection: connection.id, error: explain(error) }, "Close after a lost vWire failed");
  }
}
