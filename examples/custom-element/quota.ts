import { Code, connectionOf, NsmError, pathOf, Slot, type NetworkServiceElement } from "nsm-sdk";

/** How an endpoint limits its clients. */
export interface QuotaOptions {
  /** How many connections each client may have at a time. */
  readonly perClient: number;
}

/** Lets each client have a number of connections at a time. After begin() and connectionState(). */
export function quota({ perClient }: QuotaOptions): NetworkServiceElement {
  const used = new Map<string, number>();
  const release = (client: string): void => {
    const left = used.get(client)! - 1;
    if (left > 0) used.set(client, left);
    else used.delete(client);
  };
  // The client that the connection was counted for.
  const counted = new Slot<string>("quota", { release });

  return {
    name: "quota",
    inside: ["begin", "connection-state"],
    provides: [counted],
    debugState: () => ({ clients: used.size }),

    async request(ctx, request, next) {
      // A refresh was counted when its connection was new.
      if (counted.get(ctx)) return next.request(ctx, request);

      const client = pathOf(connectionOf(request)).pathSegments[0]?.name ?? "unknown";
      const connections = used.get(client) ?? 0;
      if (connections >= perClient) {
        throw new NsmError(
          Code.ResourceExhausted,
          `${client} has ${connections} connections, ${perClient} are allowed`,
        );
      }
      used.set(client, connections + 1);
      counted.set(ctx, client);
      return next.request(ctx, request);
    },
  };
}
