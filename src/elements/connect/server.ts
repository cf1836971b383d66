import { patchConnection, type Connection } from "../../api/index.js";
import {
  codeOf,
  log,
  NsmError,
  Slot,
  type Context,
  type DebugState,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";

/** What is known of the client chain. */
export interface ConnectServerOptions {
  /** What the client chain holds, to be shown as this element's. */
  readonly debugState?: () => DebugState;
}

/**
 * Calls `service`, usually a client chain, and goes on with the connection it answered. When what comes after
 * refuses a new connection, `service` is told to close it. Close calls both, and both are called.
 *
 * Server side. After connectionState() and whatever finds the next hop; the client chain shares this chain's
 * begin and state.
 */
export function connectServer(
  service: NetworkService,
  { debugState }: ConnectServerOptions = {},
): NetworkServiceElement {
  const joined = new Slot<true>("connect/server");

  return {
    name: "connect/server",
    needs: ["connection-state"],
    ...(debugState ? { debugState } : {}),

    async request(ctx, request, next) {
      const connection = await service.request(ctx, request);
      try {
        const response = await next.request(ctx, patchConnection(request, connection));
        joined.set(ctx, true);
        return response;
      } catch (error) {
        // A refresh that fails leaves the connection as it was.
        if (!joined.get(ctx)) await closeQuietly(ctx, connection, service);
        throw error;
      }
    },

    async close(ctx, connection, next) {
      const failures: unknown[] = [];
      await service.close(ctx, connection).catch((error: unknown) => failures.push(error));
      await next.close(ctx, connection).catch((error: unknown) => failures.push(error));
      if (failures.length < 2) {
        if (failures.length === 1) throw failures[0];
        return;
      }
      throw new NsmError(codeOf(failures[1]), `connection ${connection.id} closed on neither side`, {
        cause: new AggregateError(failures),
      });
    },
  };
}

async function closeQuietly(ctx: Context, connection: Connection, service: NetworkService): Promise<void> {
  try {
    await ctx.detached((c) => service.close(c, connection));
  } catch (error) {
    log(ctx).warn({ err: error, connection: connection.id }, "close after a refused request failed");
  }
}
