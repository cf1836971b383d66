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
import { endpointMechanism } from "../mechanism-translation/index.js";
import { requestFiles } from "../request-files/index.js";
import { openEnd, type End } from "./ends.js";
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

  const openClient = (ctx: Context, { mechanism }: Connection): End =>
    openEnd(kernel, "client", mechanism, ctx.get(requestFiles));

  const connect = async (ctx: Context, { response, client, next }: Answered): Promise<void> => {
    const known = own.get(ctx);
    try {
      const endpoint = openEnd(kernel, "endpoint", endpointMechanism.get(ctx), ctx.get(requestFiles));
      try {
        const wire = await wires.connect(ctx, response, { client, endpoint }, known?.wire);
        if (known) known.wire = wire;
        else own.set(ctx, { wire });
      } finally {
        endpoint.namespace.close();
      }
    } catch (error) {
      // A failed change leaves the connection as it was. If its vWire is gone, the rest is closed too.
      if (known && !wires.stands(known.wire)) {
        own.take(ctx);
        await closeQuietly(ctx, response, next);
      }
      throw error;
    }
  };

  /** Handles a Close of an unknown connection. An earlier process may have created its vWire. */
  const disconnectUnknown = async (ctx: Context, connection: Connection): Promise<void> => {
    let client: End | undefined;
    try {
      client = openClient(ctx, connection);
      await wires.disconnectUnknown(connection, client);
    } catch (error) {
      log(ctx).debug(
        { connection: connection.id, error: explain(error) },
        "found no vWire of an unknown connection",
      );
    } finally {
      client?.namespace.close();
    }
  };

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
      // Held from the check to the end, so that the interface goes to the namespace that was checked.
      const client = openClient(ctx, asked);
      try {
        await wires.check(asked, client);
        const response = await next.request(ctx, patchConnection(request, withMtu(asked)));
        ctx.throwIfDone();
        await connect(ctx, { response, client, next });
        return response;
      } finally {
        client.namespace.close();
      }
    },

    async close(ctx, connection, next) {
      const wire = own.take(ctx)?.wire;
      const gone = wire ? wires.disconnect(wire) : disconnectUnknown(ctx, connection);
      const ends = await Promise.allSettled([gone, next.close(ctx, connection)]);
      const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
      throwFailures(failures, `Close of connection ${connection.id} failed here and at the next hop`);
    },
  };
}

/** The answer of the endpoint, and what is needed to connect it. */
interface Answered {
  readonly response: Connection;
  readonly client: End;
  readonly next: NetworkService;
}

function withMtu({ context }: Connection): Partial<Connection> {
  return { context: { ...(context ?? ConnectionContext.create()), MTU: context?.MTU || DEFAULT_MTU } };
}

async function closeQuietly(ctx: Context, connection: Connection, next: NetworkService): Promise<void> {
  try {
    await ctx.detached((c) => next.close(c, connection));
  } catch (error) {
    log(ctx).warn({ connection: connection.id, error: explain(error) }, "Close after a lost vWire failed");
  }
}
