import { describe, expect, test } from "vitest";
import { toTimestamp, type NetworkServiceEndpoint } from "../../../src/api/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { refresh } from "../../../src/registry/elements/refresh/index.js";
import {
  describeRegistryElement,
  recorder,
  runRegistry,
  sampleEndpoint,
} from "../../../src/testing/index.js";
import { failSwitch, changing } from "../support.js";

describeRegistryElement("refresh", ({ until }) => refresh({ until }), {
  before: [begin(), registrationState()],
});

/** A registry that grants every Register this lifetime. */
function grantLifetime(lifetimeMs: () => number | undefined) {
  const seen = recorder();
  const at: number[] = [];
  const broken = failSwitch();
  const bench = runRegistry([
    begin(),
    registrationState(),
    refresh({ random: () => 0 }),
    seen,
    broken,
    changing({
      answer(endpoint) {
        at.push(bench.clock.now() - start);
        const lifetime = lifetimeMs();
        const expirationTime = lifetime === undefined ? undefined : toTimestamp(bench.clock.now() + lifetime);
        return { ...endpoint, expirationTime };
      },
    }),
  ]);
  const start = bench.clock.now();
  return { ...bench, at, seen, broken };
}

describe("refresh", () => {
  test("renews at two thirds of the remaining time, repeatedly", async () => {
    let lifetime = 60_000;
    const { register, unregister, clock, at, leftovers } = grantLifetime(() => lifetime);
    await register();
    await clock.advance(80_000);
    expect(at).toEqual([0, 40_000, 80_000]);
    lifetime = 6_000;
    await clock.advance(44_000);
    expect(at).toEqual([0, 40_000, 80_000, 120_000, 124_000]);
    await unregister();
    await clock.advance(600_000);
    expect(at).toHaveLength(5);
    expect(leftovers()).toEqual({});
  });

  test("requests a new lifetime with the full name, and keeps the first registration time", async () => {
    const { register, unregister, clock, seen } = grantLifetime(() => 60_000);
    await register({ name: "nse@domain", initialRegistrationTime: toTimestamp(5_000) });
    await clock.advance(40_000);
    expect(seen.args("register")[1]).toMatchObject({
      name: "nse@domain",
      expirationTime: undefined,
      initialRegistrationTime: toTimestamp(5_000),
    });
    await unregister(sampleEndpoint(0, { name: "nse@domain" }));
  });

  test("restarts its timer with every Register of the user", async () => {
    const { register, unregister, clock, at } = grantLifetime(() => 60_000);
    await register();
    await clock.advance(39_000);
    await register();
    await clock.advance(39_999);
    expect(at).toEqual([0, 39_000]);
    await clock.advance(1);
    expect(at).toEqual([0, 39_000, 79_000]);
    await unregister();
  });

  test("does not renew a registration without an expiry", async () => {
    const { register, unregister, clock, leftovers } = grantLifetime(() => undefined);
    await register({ expirationTime: undefined });
    expect(clock.timers).toBe(0);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("retries a failed renewal with growing delays until it succeeds", async () => {
    const { register, unregister, clock, broken, seen, at, leftovers } = grantLifetime(() => 60_000);
    await register();
    broken.on = true;
    await clock.advance(40_000 + 7_000);
    // At 40, 41, 43 and 47 seconds.
    expect(seen.calls).toHaveLength(5);
    broken.on = false;
    await clock.advance(8_000);
    expect(at).toEqual([0, 55_000]);
    await clock.advance(40_000);
    expect(at).toEqual([0, 55_000, 95_000]);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("does not enter a hot loop for a lifetime that has expired on arrival", async () => {
    const { register, unregister, clock, at } = grantLifetime(() => -60_000);
    await register();
    await clock.advance(5_000);
    expect(at).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    await unregister();
  });

  test("stops for each of a hundred endpoints when it is unregistered", async () => {
    const { register, unregister, clock, seen, leftovers } = grantLifetime(() => 60_000);
    const names = Array.from({ length: 100 }, (_, i) => `nse-${i}`);
    for (const name of names) await register({ name });
    await clock.advance(40_000);
    expect(seen.calls).toHaveLength(200);
    for (const name of names) await unregister(sampleEndpoint(0, { name }));
    await clock.advance(600_000);
    expect(seen.args<NetworkServiceEndpoint>("register")).toHaveLength(200);
    expect(leftovers()).toEqual({});
  });
});
