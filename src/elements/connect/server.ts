import { patchConnection, type Connection } from "../../api/index.js";
import {
  Slot,
  throwFailures,
  type DebugState,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";

/** Options of connectServer(). */
export interface ConnectServerOptions {
  /** Reports the resources that the client chain holds, as part of this element. */
  readonly debugState?: (() => DebugState) | undefined;
}

/** The last answer of `service`. Changed in place, so that a refresh does not release it. */
interface Onward {
  connection: Connection;
}

/**
 * Calls `service`, usually a client chain, and continues with the connection that it answers. If the first
 * Request of a connection fails later in the chain, `service` closes the connection. Close calls both parts,
 * even if the first one fails.
 *
 * Server side. After connectionState() and the elements that set the next hop. The client chain shares the
 * begin and the state of this chain.
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
      throwFailures(failures, `Close of connection ${connection.id} failed on both sides`);
    },
  };
}
