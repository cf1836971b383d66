import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Payload } from "../../../../src/api/index.js";
import { linuxKernel } from "../../../../src/elements/cross-connect/index.js";
import { createVeth, netlinkIn } from "../../../../src/linux/index.js";
import { sampleRequest, TOKEN_LIFETIME_MS, virtualClock } from "../../../../src/testing/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ipContext, kernelMechanism } from "../../../elements/support/forwarder.js";
import { crashingKernel } from "../../../elements/support/crashing-kernel.js";
import { forwarder, linksOf, interfaceState, reaches } from "./kit.js";

describe("a forwarder after another one, in the kernel", () => {
  let stateDir: string;
  beforeEach(() => void (stateDir = mkdtempSync(join(tmpdir(), "nsm-state-"))));
  afterEach(() => rmSync(stateDir, { recursive: true }));

  test("adopts the link of a refreshed connection unchanged, and removes the unclaimed one when it expires", () =>
    withNamespaces(3, async ([client, other, endpoint]) => {
      const clock = virtualClock();
      const first = forwarder(client, endpoint, { clock, stateDir });
      const kept = await first.sendRequest();
      first.answer.mechanism = kernelMechanism(endpoint.path, "fw-2");
      first.answer.ip = ipContext({}, 1);
      await first.sendRequest({ id: "unclaimed", mechanism: kernelMechanism(other.path, "nsm-1") });
      first.program.abort();
      const before = [await interfaceState(client, "nsm-1"), await interfaceState(endpoint, "fw-1")];

      const second = forwarder(client, endpoint, { clock, stateDir });
      await clock.advance(TOKEN_LIFETIME_MS / 2);
      const fresh = sampleRequest(clock.now()).connection!.path!.pathSegments[0]!;
      const path = { ...kept.path!, pathSegments: [fresh, ...kept.path!.pathSegments.slice(1)] };
      await second.send({ ...sampleRequest(clock.now()), connection: { ...kept, path } });
      expect(second.debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 2, timers: 1 });
      expect([await interfaceState(client, "nsm-1"), await interfaceState(endpoint, "fw-1")]).toEqual(before);

      await clock.advance(TOKEN_LIFETIME_MS / 2);
      await expect.poll(() => linksOf(other)).toEqual([]);
      expect([await interfaceState(client, "nsm-1"), await interfaceState(endpoint, "fw-1")]).toEqual(before);
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await second.close();
      await expect.poll(() => second.leftovers()).toEqual({});
      expect([await linksOf(client), await linksOf(endpoint), readdirSync(stateDir)]).toEqual([[], [], []]);
    }));

  test.each([
    ["setting up", (first: ReturnType<typeof forwarder>) => first.sendRequest()],
    [
      "setting up and closing",
      (first: ReturnType<typeof forwarder>) => first.sendRequest().then(() => first.close()),
    ],
  ])("whose predecessor was killed at any step of %s, leaves nothing in the end", (_what, work) =>
    withNamespaces(2, async ([client, endpoint]) => {
      for (let steps = 0, done = false; !done; steps++) {
        const clock = virtualClock();
        const crashing = crashingKernel(linuxKernel(), steps);
        const first = forwarder(client, endpoint, { clock, stateDir, kernel: crashing.kernel });
        first.answer.payload = Payload.Ip;
        done = await Promise.race([work(first).then(() => true), crashing.crashed.then(() => false)]);
        first.program.abort();

        const abandoned = clock.timers;
        const second = forwarder(client, endpoint, { clock, stateDir });
        if (steps % 2 === 0) {
          await clock.advance(TOKEN_LIFETIME_MS);
        } else {
          await second.sendRequest();
          expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
          await second.close();
        }
        // The clock is shared with the process that was killed, whose timers only end with their time.
        const left = expect.poll(() => ({ timers: 0, ...second.leftovers() }));
        await left.toEqual({ timers: clock.timers > 0 ? abandoned : 0 });
        expect([await linksOf(client), await linksOf(endpoint), readdirSync(stateDir)]).toEqual([[], [], []]);
      }
    }),
  );

  test("makes a wire again of which only the interfaces had been made", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const first = forwarder(client, endpoint);
      await first.sendRequest();
      const [a, b] = [await netlinkIn(client).link("nsm-1"), await netlinkIn(endpoint).link("fw-1")];
      await first.close();
      // As the kernel has it between the request for the pair and those for the aliases.
      await createVeth({
        a: { namespace: client, name: "nsm-1", mac: a.mac! },
        b: { namespace: endpoint, name: "fw-1", mac: b.mac! },
      });
      const second = forwarder(client, endpoint);
      await second.sendRequest();
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await second.close();
      expect([await linksOf(client), await linksOf(endpoint)]).toEqual([[], []]);
    }));
});
