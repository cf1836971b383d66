import {
  ConnectionContext,
  connectionOf,
  MechanismType,
  patchConnection,
  type Connection,
} from "../../api/index.js";
import {
  codeOf,
  explain,
  log,
  NsmError,
  peer,
  silent,
  Slot,
  systemClock,
  type Clock,
  type Context,
  type Logger,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";
import { isLocalUrl } from "../../net/index.js";
import { peerLink } from "../dial/index.js";
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
  removeLinks(): Promise<void>;
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
  const own = new Slot<LaidWire>("cross-connect");

  return {
    name: "cross-connect",
    inside: ["connection-state"],
    debugState: () => wires.debugState(),
    removeLinks: () => wires.removeAll(),

    async request(ctx, request, next) {
      const asked = connectionOf(request);
      if (asked.mechanism?.type !== MechanismType.Kernel) return next.request(ctx, request);
      const client = clientEnd(ctx, asked);
      await wires.check(asked, client);

      const response = await next.request(ctx, patchConnection(request, withMtu(asked)));
      const before = own.get(ctx);
      try {
        ctx.throwIfDone();
        own.set(ctx, await wires.connect(ctx, response, { client, endpoint: endpointEnd(ctx) }, before));
      } catch (error) {
        // A change that fails leaves the connection as it was; one that has no wire (any more) is none.
        if (!wires.stands(before)) {
          own.take(ctx);
          await closeQuietly(ctx, response, next);
        }
        throw error;
      }
      return response;
    },

    async close(ctx, connection, next) {
      const wire = own.take(ctx);
      const gone = wire ? wires.disconnect(wire) : disconnectUnknown(ctx, connection, wires);
      const ends = await Promise.allSettled([gone, next.close(ctx, connection)]);
      const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
      if (failures.length === 1) throw failures[0];
      if (failures.length === 0) return;
      throw new NsmError(codeOf(failures[1]), `connection ${connection.id} closed neither here nor beyond`, {
        cause: new AggregateError(failures),
      });
    },
  };
}

function clientEnd(ctx: Context, { mechanism }: Connection): End {
  return endOf(mechanism, { whose: "client", local: ctx.get(peer)?.local ?? false });
}

function endpointEnd(ctx: Context): End {
  const url = peerLink.get(ctx)?.url;
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
