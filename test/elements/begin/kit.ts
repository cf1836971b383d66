import {
  connectionEvents,
  type ConnectionEvents,
  type NetworkServiceElement,
} from "../../../src/core/index.js";

/** Exposes the events of the last call to the test. */
export function grabEvents(): NetworkServiceElement & { events: ConnectionEvents } {
  const grabbed = {
    name: "grab-events",
    events: undefined as unknown as ConnectionEvents,
    request: async (ctx, request, next) => {
      grabbed.events = ctx.get(connectionEvents)!;
      return next.request(ctx, request);
    },
  } as NetworkServiceElement & { events: ConnectionEvents };
  return grabbed;
}
