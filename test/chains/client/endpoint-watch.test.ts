import { Observable, Subject, type Subscription } from "rxjs";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  NetworkServiceEndpoint,
  type NetworkServiceEndpointQuery,
  type NetworkServiceEndpointResponse,
} from "../../../src/api/index.js";
import { Code, Context, NsmError, type EndpointRegistry } from "../../../src/core/index.js";
import { endpointWatch } from "../../../src/chains/client/endpoint-watch.js";
import { virtualClock, type VirtualClock } from "../../../src/testing/index.js";

/** A manager's registry that can be unavailable. */
class FakeRegistry {
  failure: NsmError | undefined;
  watches = 0;
  stream = new Subject<NetworkServiceEndpointResponse>();
  readonly known: NetworkServiceEndpoint[] = [];

  readonly service = {
    find: (_ctx: Context, { watch }: NetworkServiceEndpointQuery) =>
      new Observable<NetworkServiceEndpointResponse>((reader) => {
        if (watch) this.watches++;
        if (this.failure) return reader.error(this.failure);
        for (const networkServiceEndpoint of this.known)
          reader.next({ networkServiceEndpoint, deleted: false });
        if (!watch) return reader.complete();
        this.stream = new Subject();
        return this.stream.subscribe(reader);
      }),
  } as Partial<EndpointRegistry> as EndpointRegistry;

  register(name: string, url: string): void {
    const endpoint = NetworkServiceEndpoint.create({ name, url, networkServiceNames: ["firewall"] });
    this.known.push(endpoint);
    this.stream.next({ networkServiceEndpoint: endpoint, deleted: false });
  }

  breakDown(code: Code): void {
    this.failure = new NsmError(code, "not here");
    this.stream.error(this.failure);
  }
}

let clock: VirtualClock;
let registry: FakeRegistry;
let seen: string[];
let subscription: Subscription;

beforeEach(() => {
  clock = virtualClock();
  registry = new FakeRegistry();
  seen = [];
  subscription = endpointWatch(Context.background({ clock }), registry.service, "firewall").subscribe(
    ({ networkServiceEndpoint: found }) => seen.push(found!.name),
  );
});

afterEach(() => {
  subscription.unsubscribe();
  expect(clock.timers).toBe(0);
});

test("emits for endpoints that appear or move, not for refreshed ones", () => {
  registry.register("nse-1", "tcp://a:1");
  registry.register("nse-1", "tcp://a:1");
  registry.register("nse-2", "tcp://b:1");
  registry.register("nse-1", "tcp://c:1");
  expect(seen).toEqual(["nse-1", "nse-2", "nse-1"]);
});

test("reopens after an hour, and later as quickly as the first time", async () => {
  registry.breakDown(Code.Unavailable);
  await clock.advance(3_600_000);
  registry.failure = undefined;
  // The maximum delay, and the second after which a watch counts as established.
  await clock.advance(6_500);
  for (let i = 0; i < 3; i++) {
    registry.stream.error(new NsmError(Code.Unavailable, "a blink"));
    await clock.advance(50);
    registry.register(`nse-${i}`, `tcp://host-${i}:1`);
  }
  expect(seen).toEqual(["nse-0", "nse-1", "nse-2"]);
});

test("ends without an error if it is rejected", async () => {
  registry.breakDown(Code.PermissionDenied);
  await clock.advance(60_000);
  expect(registry.watches).toBe(1);
  expect(seen).toEqual([]);
});
