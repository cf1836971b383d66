import { lastValueFrom, toArray, type Observable } from "rxjs";
import { NetworkServiceEndpoint, type NetworkServiceEndpointResponse } from "../../api/index.js";
import {
  Code,
  Context,
  debugState,
  endpointRegistryChain,
  networkServiceRegistryChain,
  NsmError,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../../core/index.js";
import { freezing } from "../frozen.js";
import { read, type Reader } from "../stream-reader.js";
import { suite } from "../suite.js";

/** An empty store. */
export interface StoreUnderTest {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
  /** Called at the end of the test. */
  close?(): Promise<void>;
}

/** The registries of a store, for one check. */
export interface Bench {
  readonly ctx: Context;
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/** Creates a check with its own store. No watch may remain at its end. */
export type Within = (check: (bench: Bench) => Promise<void>) => () => Promise<void>;

/** Creates a {@link Within} for the stores of a factory. */
export function within(factory: () => StoreUnderTest | Promise<StoreUnderTest>): Within {
  const { expect } = suite();
  return (check) => async () => {
    const store = await factory();
    const caller = new AbortController();
    try {
      await check({
        ctx: Context.background({ signal: caller.signal }),
        networkServices: networkServiceRegistryChain(store.networkServices, { trace: freezing }),
        endpoints: endpointRegistryChain(store.endpoints, { trace: freezing }),
      });
      caller.abort(new NsmError(Code.Cancelled, "the test is over"));
      for (const held of [debugState(store.networkServices), debugState(store.endpoints)]) {
        expect(JSON.stringify(held), "who watches still").not.toContain("watchers");
      }
    } finally {
      caller.abort();
      await store.close?.();
    }
  };
}

export type Like = Partial<NetworkServiceEndpoint> | undefined;

export function icmp(name: string): NetworkServiceEndpoint {
  return NetworkServiceEndpoint.create({ name, networkServiceNames: ["icmp"], url: "tcp://10.0.0.3:1" });
}

export function find(
  { ctx, endpoints }: Bench,
  like: Like,
  watch: boolean,
): Observable<NetworkServiceEndpointResponse> {
  const networkServiceEndpoint = like && NetworkServiceEndpoint.create(like as object);
  return endpoints.find(ctx, { networkServiceEndpoint, watch });
}

export async function found(bench: Bench, like: Like): Promise<NetworkServiceEndpoint[]> {
  const all = await lastValueFrom(find(bench, like, false).pipe(toArray()));
  return all.map(({ networkServiceEndpoint }) => networkServiceEndpoint!);
}

export function namesOf(endpoints: readonly NetworkServiceEndpoint[]): string[] {
  return endpoints.map((endpoint) => endpoint.name).sort();
}

export function portOf({ networkServiceEndpoint }: NetworkServiceEndpointResponse): number {
  return Number(networkServiceEndpoint!.url.split(":")[2]);
}

export function plain(seen: readonly NetworkServiceEndpointResponse[]): unknown[] {
  return seen.map(({ deleted, networkServiceEndpoint }) => ({ deleted, entry: networkServiceEndpoint }));
}

export function watching(bench: Bench, like: Like): Reader<NetworkServiceEndpointResponse> {
  return read(find(bench, like, true));
}
