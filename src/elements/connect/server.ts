import { patchConnection, type Connection } from "../../api/index.js";
import {
  Slot,
  throwFailures,
  type DebugState,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";

/** What is known of the client chain. */
export interface ConnectServerOptions {
  /** What the client chain holds, to be shown as this element's. */
  readonly debugState?: () => DebugState;
}

/** The connection as `service` answered it last. Changed in place: a refresh does not give it up. */
interface Onward {
  connection: Connection;
}

/**
 * Calls `service`, usually a client chain, and goes on with the connection it answered. If a new connection comes
 * to nothing, wherever in the chain, `service` closes it. Close calls both, even if the first one fails.
 *
 * Server side. After connectionState() and whatever finds the next hop; the client chain shares this chain's
 * begin and state.
 */
export function connectServer(
  service: NetworkService,
  { debugState }: ConnectServerOptions = {},
): NetworkServiceElement {
  const onward = new Slot<Onward>("connect/server", {
    release: ({ connection }, ctx) => service.close(ctx, connection),
  });

  return {
    name: "connect/server",
    inside: ["connection-state"],
    provides: [onward],
    ...(debugState ? { debugState } : {}),

    async request(ctx, request, next) {
      const connection = await service.request(ctx, request);
      const known = onward.get(ctx);
      if (known) known.connection = connection;
      else onward.set(ctx, { connection });
      return next.request(ctx, patchConnection(request, connection));
    },

    async close(ctx, connection, next) {
      onward.take(ctx);
      const failures: unknown[] = [];
      await service.close(ctx, connection).catch((error: unknown) => failures.push(error));
      await next.close(ctx, connection).catch((error: unknown) => failures.push(error));
      throwFailures(failures, `connection ${connection.id} closed on neither side`);
    },
  };
}
