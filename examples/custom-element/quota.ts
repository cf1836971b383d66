import { Code, connectionOf, NsmError, pathOf, Slot, type NetworkServiceElement } from "nsm-sdk";

/** How many connections each client may have at a time. */
export interface QuotaOptions {
  readonly perClient: number;
}

/** Lets each client have a number of connections at a time. After begin() and connectionState(). */
export function quota({ perClient }: QuotaOptions): NetworkServiceElement {
  const used = new Map<string, number>();
  // The client this connection was counted for. Kept between the calls of a connection, gone with it.
  const countedFor = new Slot<string>("quota");

  const release = (client: string): void => {
    const left = used.get(client)! - 1;
    if (left > 0) used.set(client, left);
    else used.delete(client);
  };

  return {
    name: "quota",
    inside: ["begin", "connection-state"],
    debugState: () => ({ clients: used.size }),

    async request(ctx, request, next) {
      // A refresh comes by here too: it was counted when it was new.
      if (countedFor.get(ctx)) return next.request(ctx, request);

      const client = pathOf(connectionOf(request)).pathSegments[0]?.name ?? "unknown";
      const connections = used.get(client) ?? 0;
      if (connections >= perClient) {
        throw new NsmError(
          Code.ResourceExhausted,
          `${client} has ${connections} connections, ${perClient} are allowed`,
        );
      }
      used.set(client, connections + 1);
      countedFor.set(ctx, client);
      try {
        return await next.request(ctx, request);
      } catch (error) {
        countedFor.take(ctx);
        release(client);
        throw error;
      }
    },

    async close(ctx, connection, next) {
      const client = countedFor.take(ctx);
      if (client) release(client);
      await next.close(ctx, connection);
    },
  };
}
