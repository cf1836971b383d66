import { describe, expect, test } from "vitest";
import { Mechanism } from "../../src/api/index.js";
import { Code, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { mechanismTranslation } from "../../src/elements/mechanism-translation/index.js";
import { describeElement, failAfter, recorder, run } from "../../src/testing/index.js";

describeElement("mechanism-translation", () => mechanismTranslation());

describe("mechanism-translation", () => {
  const kernel = Mechanism.create({ cls: "LOCAL", type: "KERNEL" });
  const vxlan = Mechanism.create({ cls: "REMOTE", type: "VXLAN", parameters: { vni: "2" } });

  /** A next hop that accepts VXLAN. */
  const nextHop: NetworkServiceElement = {
    name: "next-hop",
    request: async (_ctx, { connection }) => ({ ...connection!, mechanism: vxlan }),
  };

  test("requests the next hop first without a mechanism, then with the accepted one, and never mixes the two sides", async () => {
    const seen = recorder();
    const { request, refresh, close, leftovers } = run([
      connectionState(),
      mechanismTranslation(),
      seen,
      nextHop,
    ]);
    expect((await request({ mechanism: kernel })).mechanism).toEqual(kernel);
    expect((await refresh()).mechanism).toEqual(kernel);
    await close();
    expect(seen.requests.map(({ mechanismPreferences }) => mechanismPreferences)).toEqual([[], []]);
    expect(seen.requests.map(({ connection }) => connection!.mechanism)).toEqual([undefined, vxlan]);
    expect(seen.closes[0]!.mechanism).toEqual(vxlan);
    expect(leftovers()).toEqual({});
  });

  test("forgets the mechanism after a Close, and after a failed first request", async () => {
    const seen = recorder();
    const { request, close } = run([connectionState(), mechanismTranslation(), seen, nextHop]);
    await request({ mechanism: kernel });
    await close();
    await request({ mechanism: kernel });
    expect(seen.requests.at(-1)!.connection!.mechanism).toBeUndefined();
  });

  test("keeps the accepted mechanism when a refresh fails", async () => {
    const seen = recorder();
    const { request, refresh, close } = run([
      connectionState(),
      mechanismTranslation(),
      seen,
      failAfter(1, Code.Unavailable),
      nextHop,
    ]);
    await request({ mechanism: kernel });
    await expect(refresh()).rejects.toMatchObject({ code: Code.Unavailable });
    await close();
    expect(seen.closes[0]!.mechanism).toEqual(vxlan);
  });

  test("a Close of an unknown connection has no mechanism", async () => {
    const seen = recorder();
    const { request, close } = run([connectionState(), mechanismTranslation(), seen]);
    const connection = await request({ id: "other" });
    await close({ ...connection, id: "unknown", mechanism: kernel });
    expect(seen.closes[0]!.mechanism).toBeUndefined();
  });
});
