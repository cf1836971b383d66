import {
  defer,
  filter,
  lastValueFrom,
  merge,
  mergeMap,
  NEVER,
  Subject,
  take,
  tap,
  throwError,
  toArray,
  type Observable,
} from "rxjs";
import { afterEach, beforeEach, expect } from "vitest";
import { NetworkServiceEndpoint } from "../../../src/api/index.js";
import {
  Code,
  Context,
  endpointRegistryChain,
  NsmError,
  type ChainElement,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { cache } from "../../../src/registry/elements/cache/index.js";
import { endpointKind } from "../../../src/registry/kinds.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import { recorder, virtualClock, type VirtualClock } from "../../../src/testing/index.js";

// A fresh world for each test of the file that imports this one.
export let clock: VirtualClock;
export let ctx: Context;
export let program: AbortController;

beforeEach(() => {
  clock = virtualClock();
  ctx = Context.background({ clock });
  program = new AbortController();
});

afterEach(() => expect(clock.timers).toBe(0));

export const nse = (name: string, service = "icmp", port = 1): NetworkServiceEndpoint =>
  NetworkServiceEndpoint.create({ name, networkServiceNames: [service], url: `tcp://${name}:${port}` });

/** A cache in front of a store whose streams can break, and the calls between the two. */
export function behindCache(maxWatches?: number) {
  const store = memoryEndpoints();
  const origin = endpointRegistryChain([store]);
  const cuts = new Subject<void>();
  const lost = cuts.pipe(mergeMap(() => throwError(() => new NsmError(Code.Unavailable, "cut"))));
  let down = false;
  let silent = false;
  let muted = false;
  let before = 0;
  let messages = 0;
  let arrival: Observable<void> | undefined;
  let refusing = false;
  let held: Promise<void> | undefined;
  const connection: ChainElement<EndpointRegistry> = {
    name: "connection",
    async register(c, entry, next) {
      const response = await next.register(c, entry);
      await held;
      return response;
    },
    async unregister(c, entry, next) {
      if (refusing) throw new NsmError(Code.Unavailable, "refused");
      await next.unregister(c, entry);
      await held;
    },
    find(c, query, next) {
      if (silent) return NEVER;
      if (down) return throwError(() => new NsmError(Code.Unavailable, "down"));
      if (!query.watch) return next.find(c, query);
      const arrived = arrival;
      const found = defer(() => next.find(c, query)).pipe(
        filter(() => !muted),
        tap(() => messages++),
      );
      return merge(arrived ? arrived.pipe(mergeMap(() => found)) : found, lost);
    },
  };
  const seen = recorder();
  const element = cache({ kind: endpointKind, until: program.signal, maxWatches });
  const chain = endpointRegistryChain([element, seen, connection], { tail: origin });
  return {
    origin,
    chain,
    element,
    cut: () => cuts.next(),
    set down(value: boolean) {
      down = value;
    },
    /** The registry does not answer. */
    set silent(value: boolean) {
      silent = value;
    },
    /** The watch is slow and shows nothing yet. */
    set muted(value: boolean) {
      muted = value;
    },
    set refusing(value: boolean) {
      refusing = value;
    },
    /** Delays answers until the returned function is called. */
    delayAnswers(): () => void {
      const gate = new Subject<void>();
      held = lastValueFrom(gate, { defaultValue: undefined });
      return () => gate.complete();
    },
    /** Delays watches on their way to the registry until the returned function is called. */
    delayWatches(): () => void {
      const gate = new Subject<void>();
      arrival = gate.pipe(take(1));
      return () => {
        arrival = undefined;
        gate.next();
      };
    },
    /** Number of messages that watches have delivered since the last call. */
    takeMessageCount(): number {
      const count = messages;
      messages = 0;
      return count;
    },
    async find(like: Partial<NetworkServiceEndpoint>, c = ctx): Promise<string[]> {
      const networkServiceEndpoint = NetworkServiceEndpoint.create(like as object);
      const all = await lastValueFrom(
        chain.find(c, { networkServiceEndpoint, watch: false }).pipe(toArray()),
      );
      return all.map(({ networkServiceEndpoint: found }) => found!.url).sort();
    },
    /** Number of calls that reached the registry since the last call. */
    takeCallCount(): number {
      const now = seen.calls.length;
      const count = now - before;
      before = now;
      return count;
    },
    /** Ends all watches. */
    async clear(): Promise<void> {
      program.abort();
      expect(element.debugState!()).toEqual({ watches: 0 });
      const everything = { networkServiceEndpoint: undefined, watch: false };
      for (const { networkServiceEndpoint } of await lastValueFrom(
        origin.find(ctx, everything).pipe(toArray()),
      )) {
        await origin.unregister(ctx, networkServiceEndpoint!);
      }
      expect(store.debugState!()).toEqual({ entries: 0, watchers: 0 });
    },
  };
}

export const icmp = { networkServiceNames: ["icmp"] };
