import { describe, expect, test } from "vitest";
import { pathOf, type Connection } from "../../src/api/index.js";
import {
  chain,
  Code,
  Context,
  Slot,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { endpoint } from "../../src/chains/endpoint/index.js";
import { pointToPointIpam } from "../../src/elements/ipam/point-to-point/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { insecureTokens } from "../../src/identity/index.js";
import { hold, recorder, sampleRequest, virtualClock } from "../../src/testing/index.js";

/** An endpoint with these elements, and a client for it. */
function nse(elements: Elements<NetworkService>) {
  const clock = virtualClock();
  const program = new AbortController();
  const own = endpoint({ name: "nse", tokens: insecureTokens({ clock }), until: program.signal, elements });
  const client = chain([updatePath({ name: "client" })], { tail: own.networkService });
  const ctx = Context.background({ clock });
  return {
    ...own,
    clock,
    ask: (id: string): Promise<Connection> => client.request(ctx, sampleRequest(clock.now(), { id })),
    close: (connection: Connection): Promise<void> => client.close(ctx, connection),
  };
}

const addressOf = ({ context }: Connection): string | undefined => context?.ipContext?.srcIpAddrs[0];
const ipam = (): NetworkServiceElement => pointToPointIpam({ prefixes: ["10.0.0.0/29"] });

/** Holds one resource per connection. */
function holding(name: string): NetworkServiceElement & { held: number } {
  const slot = new Slot<true>(name, { release: () => void element.held-- });
  const element: NetworkServiceElement & { held: number } = {
    name,
    held: 0,
    provides: [slot],
    debugState: () => ({ held: element.held }),
    request(ctx, request, next) {
      if (!slot.get(ctx)) {
        element.held++;
        slot.set(ctx, true);
      }
      return next.request(ctx, request);
    },
  };
  return element;
}

describe("replacing the elements of an endpoint", () => {
  test("requests every connection through the new elements, and keeps the addresses", async () => {
    const { ask, close, replace, debugState } = nse([ipam()]);
    const one = await ask("one");
    const two = await ask("two");
    await close(one);
    const seen = recorder();

    const replaced = replace([ipam(), seen]);
    // A new connection does not get an address of an established one.
    const three = await ask("three");
    expect(await replaced).toEqual({ done: 1, failures: new Map() });

    expect(seen.calls).toEqual(["request", "request"]);
    expect(addressOf(await ask("two"))).toBe(addressOf(two));
    expect(addressOf(three)).not.toBe(addressOf(two));
    await close(two);
    await close(three);
    expect(debugState()).toEqual({});
  });

  test("finishes running calls on the earlier elements, and then moves their connections", async () => {
    const gate = hold();
    const earlier = holding("earlier");
    const addresses = ipam();
    const { ask, close, replace, clock, debugState } = nse([addresses, earlier, gate]);
    const first = ask("one");
    await clock.settle();
    const later = holding("later");
    const replaced = replace([addresses, later]);
    const second = ask("two");
    await clock.settle();
    expect([earlier.held, later.held]).toEqual([1, 1]);
    gate.release();
    const [one, two] = await Promise.all([first, second]);
    await replaced;
    expect(addressOf(one)).not.toBe(addressOf(two));

    expect(addressOf(await ask("one"))).toBe(addressOf(one));
    expect([earlier.held, later.held]).toEqual([0, 2]);
    await close(one);
    await close(two);
    expect(debugState()).toEqual({});
  });

  test("releases the resources that only the earlier elements held, once the connection uses the new ones", async () => {
    const [earlier, later] = [holding("earlier"), holding("later")];
    let up = false;
    const failing: NetworkServiceElement = {
      name: "failing",
      request: (ctx, request, next) =>
        up ? next.request(ctx, request) : Promise.reject(new Error("not yet")),
    };
    const { ask, close, replace, debugState } = nse([earlier]);
    const one = await ask("one");
    const { done, failures } = await replace([later, failing]);
    expect([done, [...failures.keys()]]).toEqual([0, [pathOf(one).pathSegments[1]!.id]]);
    expect([earlier.held, later.held]).toEqual([1, 0]);
    expect(debugState()).toMatchObject({ replaced: { earlier: { held: 1 } } });

    up = true;
    await ask("one");
    expect([earlier.held, later.held]).toEqual([0, 1]);
    expect(debugState()).not.toHaveProperty("replaced");
    await close(one);
    expect(debugState()).toEqual({});
  });

  test("releases the resources of the earlier elements when a connection is closed before it was moved", async () => {
    const earlier = holding("earlier");
    const gate = hold();
    const { ask, close, replace, clock, debugState } = nse([earlier]);
    const one = await ask("one");
    const replaced = replace([{ name: "gate", request: (ctx, r, next) => gate.request(ctx, r, next) }]);
    await clock.settle();
    expect(gate.waiting).toBe(1);
    await close(one);
    expect((await replaced).done).toBe(0);
    expect(earlier.held).toBe(0);
    expect(debugState()).toEqual({});
  });

  test("changes nothing when the order of the new elements is invalid", async () => {
    const { ask, close, replace } = nse([ipam()]);
    const one = await ask("one");
    expect(() => replace([{ name: "misplaced", inside: ["dial"] }])).toThrow(
      expect.objectContaining({ code: Code.FailedPrecondition }),
    );
    expect(addressOf(await ask("one"))).toBe(addressOf(one));
    await close(one);
  });
});
