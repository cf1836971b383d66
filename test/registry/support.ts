import type { Observable } from "rxjs";
import type { NetworkServiceEndpoint } from "../../src/api/index.js";
import {
  Code,
  Context,
  NsmError,
  registrationEvents,
  type ChainElement,
  type EndpointRegistry,
  type RegistrationEvents,
} from "../../src/core/index.js";

/** Exposes the events of the last Register to the test. */
export interface EventsCapture extends ChainElement<EndpointRegistry> {
  readonly events: RegistrationEvents;
}

export function captureEvents(): EventsCapture {
  let events: RegistrationEvents | undefined;
  const element: ChainElement<EndpointRegistry> = {
    name: "capture-events",
    register(ctx, endpoint, next) {
      events = ctx.get(registrationEvents);
      return next.register(ctx, endpoint);
    },
  };
  return Object.defineProperty(element as EventsCapture, "events", { get: () => events });
}

/** Fails Register and Unregister while `on`. */
export function failSwitch(code: Code = Code.Unavailable): ChainElement<EndpointRegistry> & { on: boolean } {
  const check = (): void => {
    if (element.on) throw new NsmError(code, "the fail switch is on");
  };
  const element: ChainElement<EndpointRegistry> & { on: boolean } = {
    name: "fail-switch",
    on: false,
    async register(ctx, endpoint, next) {
      check();
      return next.register(ctx, endpoint);
    },
    async unregister(ctx, endpoint, next) {
      check();
      await next.unregister(ctx, endpoint);
    },
  };
  return element;
}

/** An element that changes a Register on the way in and its answer on the way back. */
export function changing(change: {
  readonly request?: (endpoint: NetworkServiceEndpoint) => NetworkServiceEndpoint;
  readonly answer?: (endpoint: NetworkServiceEndpoint) => NetworkServiceEndpoint;
}): ChainElement<EndpointRegistry> {
  const { request = (e) => e, answer = (e) => e } = change;
  return {
    name: "changing",
    register: async (ctx, endpoint, next) => answer(await next.register(ctx, request(endpoint))),
  };
}

/** The events of a stream, and how it ended: `undefined` while it is open. */
export interface Listener<F> {
  readonly seen: F[];
  readonly end: { readonly error?: unknown } | undefined;
  stop(): void;
}

export function listen<F>(stream: Observable<F>): Listener<F> {
  const seen: F[] = [];
  let end: { readonly error?: unknown } | undefined;
  const subscription = stream.subscribe({
    next: (found) => seen.push(found),
    error: (error: unknown) => (end = { error }),
    complete: () => (end = {}),
  });
  return {
    seen,
    get end() {
      return end;
    },
    stop: () => subscription.unsubscribe(),
  };
}

/** A registry that is called like another process: without the caller's context values. */
export function withoutContextValues(registry: EndpointRegistry): EndpointRegistry {
  const fresh = ({ signal, clock }: Context): Context => Context.background({ signal, clock });
  return {
    register: (ctx, endpoint) => registry.register(fresh(ctx), endpoint),
    find: (ctx, query) => registry.find(fresh(ctx), query),
    unregister: (ctx, endpoint) => registry.unregister(fresh(ctx), endpoint),
  };
}
