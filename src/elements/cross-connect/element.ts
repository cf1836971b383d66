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

/** What a cross connect works with. */
export interface CrossConnectOptions {
  /** The program's life: nothing is removed any more when it is over. */
  readonly until: AbortSignal;
  /**
   * A directory of this forwarder's own, where it notes its links: the process after it removes those whose
   * connections are not refreshed. Without one they are still recognised when they are asked for.
   */
  readonly stateDir?: string;
  readonly kernel?: Kernel;
  /** For links of an earlier process, which expire outside of any call. */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** The element, and what a program does with it at its end. */
export interface CrossConnect extends NetworkServiceElement {
  /** Removes all links: for a forwarder that leaves nobody to take them over. */
  removeVWires(): Promise<void>;
}

/** What a wire can carry when nobody on its road says otherwise; in bytes. */
const DEFAULT_MTU = 9_000;

/**
 * See the module's description.
 *
 * @throws NsmError FAILED_PRECONDITION when the state directory cannot be made or read.
 */
export function crossConnect(options: CrossConnectOptions): CrossConnect {
  const { until, stateDir, kernel = linuxKernel(), clock = systemClock, logger = silent } = options;
  const kept = stateDir === undefined ? noJournal : journal(stateDir, logger);
  const wires = new Wires({ kernel, journal: kept, clock, logger, until });
  // Changed in place: what a refresh has changed in the kernel stays changed when the refresh fails later.
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
        // A change that fails leaves the connection as it was, unless its wire is gone: then the rest goes too.
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
      throwFailures(failures, `connection ${connection.id} closed neither here nor beyond`);
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

/** A Close for a connection that this process knows nothing of: what made its wire may have died since. */
async function disconnectUnknown(ctx: Context, connection: Connection, wires: Wires): Promise<void> {
  let client: End;
  try {
    client = clientEnd(ctx, connection);
    await wires.disconnectUnknown(connection, client);
  } catch (error) {
    log(ctx).debug(
      { connection: connection.id, error: explain(error) },
      "no wire of an unknown connection found",
    );
  }
}

async function closeQuietly(ctx: Context, connection: Connection, next: NetworkService): Promise<void> {
  try {
    await ctx.detached((c) => next.close(c, connection));
  } catch (error) {
    log(ctx).warn({ connection: connection.id, error: explain(error) }, "close after a failed wiring failed");
  }
}
