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

  /** A next hop that takes VXLAN. */
  const nextHop: NetworkServiceElement = {
    name: "next-hop",
    request: async (_ctx, { connection }) => ({ ...connection!, mechanism: vxlan }),
  };

  test("asks the next hop without a mechanism first, then for what it accepted, and never shows either side the other's", async () => {
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

  test("forgets with the Close, and with a first request that failed", async () => {
    const seen = recorder();
    const { request, close } = run([connectionState(), mechanismTranslation(), seen, nextHop]);
    await request({ mechanism: kernel });
    await close();
    await request({ mechanism: kernel });
    expect(seen.requests.at(-1)!.connection!.mechanism).toBeUndefined();
  });

  test("keeps what was accepted when a refresh fails", async () => {
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

  test("a Close of what is not known here carries no mechanism", async () => {
    const seen = recorder();
    const { request, close } = run([connectionState(), mechanismTranslation(), seen]);
    const connection = await request({ id: "other" });
    await close({ ...connection, id: "unknown", mechanism: kernel });
    expect(seen.closes[0]!.mechanism).toBeUndefined();
  });
});
