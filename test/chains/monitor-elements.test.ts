import { firstValueFrom, tap, throwError, toArray } from "rxjs";
import { afterEach, describe, expect, test } from "vitest";
import { ConnectionEventType, MonitorScopeSelector, PathSegment } from "../../src/api/index.js";
import { endpoint } from "../../src/chains/endpoint/index.js";
import { nsmgr } from "../../src/chains/nsmgr/index.js";
import {
  Code,
  Context,
  monitorChain,
  NsmError,
  type Elements,
  type Remotes,
  type MonitorConnection,
  type MonitorElement,
} from "../../src/core/index.js";
import { insecureTokens } from "../../src/identity/index.js";

const program = new AbortController();
const ctx = Context.background({ signal: program.signal });
const tokens = insecureTokens({ subject: "spiffe://test/nse" });
const everything = MonitorScopeSelector.create();

afterEach(() => expect(program.signal.aborted).toBe(false));

/** Rejects an empty selector. */
const selective: MonitorElement = {
  name: "selective",
  monitorConnections: (c, selector, next) =>
    selector.pathSegments.length === 0
      ? throwError(() => new NsmError(Code.PermissionDenied, "name what you want to see"))
      : next.monitorConnections(c, selector),
};

/** Counts the published events. */
function counter(): MonitorElement & { readonly types: ConnectionEventType[] } {
  const types: ConnectionEventType[] = [];
  return {
    name: "counter",
    types,
    debugState: () => ({ types: types.length }),
    monitorConnections: (c, selector, next) =>
      next.monitorConnections(c, selector).pipe(tap(({ type }) => types.push(type))),
  };
}

const made = (monitorElements: Elements<MonitorConnection>) => ({
  endpoint: endpoint({ name: "nse", tokens, until: program.signal, elements: [], monitorElements }),
  nsmgr: nsmgr({
    name: "nsmgr",
    url: "tcp://nsmgr:1",
    remotes: {} as Remotes,
    tokens,
    until: program.signal,
    monitorElements,
  }),
});

describe.each(["endpoint", "nsmgr"] as const)("the monitor of an %s", (which) => {
  test("lets elements before it authorize subscribers and count events", async () => {
    const counting = counter();
    const { monitor, debugState } = made([selective, [counting]])[which];
    const refused = firstValueFrom(monitor.monitorConnections(ctx, everything));
    await expect(refused).rejects.toMatchObject({ code: Code.PermissionDenied });
    const own = MonitorScopeSelector.create({ pathSegments: [PathSegment.create({ name: "nsc" })] });
    await firstValueFrom(monitor.monitorConnections(ctx, own));
    expect(counting.types).toEqual([ConnectionEventType.INITIAL_STATE_TRANSFER]);
    expect(debugState()).toMatchObject({ counter: { types: 1 } });
  });

  test("works with elements that only observe", async () => {
    const { monitor } = made([{ name: "idle" }])[which];
    const { type } = await firstValueFrom(monitor.monitorConnections(ctx, everything));
    expect(type).toBe(ConnectionEventType.INITIAL_STATE_TRANSFER);
  });
});

test("a monitor chain without a monitor at its end completes each stream at once", async () => {
  const types = await firstValueFrom(monitorChain([]).monitorConnections(ctx, everything).pipe(toArray()));
  expect(types).toEqual([]);
});
