import {
  connectionEvents,
  type ConnectionEvents,
  type NetworkServiceElement,
} from "../../../src/core/index.js";

/** Exposes the events of the last call to the test. */
export function captureEvents(): NetworkServiceElement & { events: ConnectionEvents } {
  const element = {
    name: "capture-events",
    events: undefined as unknown as ConnectionEvents,
    request: async (ctx, request, next) => {
      element.events = ctx.get(connectionEvents)!;
      return next.request(ctx, request);
    },
  } as NetworkServiceElement & { events: ConnectionEvents };
  return element;
}
