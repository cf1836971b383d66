import { parseRules, type RuleSet, type RulesSource } from "../../../../src/elements/firewall/index.js";
import { netlinkIn, type NetworkNamespace } from "../../../../src/linux/index.js";
import { nftablesIn } from "../../../../src/linux/nftables/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { firstValueFrom, NEVER, Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import { datagrams } from "./datagrams.js";
import {
  kernelConnection,
  client4,
  client6,
  endpoint4,
  endpoint6,
  endpointWithFirewall,
  wire,
  wireName,
} from "./kit.js";

/** Both ends of a flow. */
function flow(client: NetworkNamespace, endpoint: NetworkNamespace, port: number, version: 4 | 6 = 4) {
  const at = (host: string) => ({ host, port });
  const [near, far] = version === 4 ? [client4, endpoint4] : [client6, endpoint6];
  return {
    client: datagrams(client, at(near), at(far)),
    endpoint: datagrams(endpoint, at(far), at(near)),
    close() {
      this.client.close();
      this.endpoint.close();
    },
  };
}

const allow = (port: number) => `- { name: p${port}, action: allow, protocol: udp, ports: ${port} }`;
const deny = (port: number) => `- { name: no${port}, action: deny, protocol: udp, ports: ${port} }`;

function changing(...first: readonly string[]) {
  const changes = new Subject<RuleSet>();
  const inForce = new Subject<unknown>();
  const source: RulesSource = {
    current: () => parseRules(first.join("\n")),
    changes,
    refusals: NEVER,
    close: () => changes.complete(),
  };
  return {
    rules: source,
    onEvent: (event: unknown) => inForce.next(event),
    async change(...rules: readonly string[]): Promise<void> {
      const done = firstValueFrom(inForce);
      changes.next(parseRules(rules.join("\n")));
      expect(await done).toEqual({ event: "rules", rules: rules.length });
    },
  };
}

describe("rules that change", () => {
  test.each([4, 6] as const)(
    "cut the IPv%i flows that they deny in both directions, and no others",
    (version) =>
      withNamespaces(2, async ([client, endpoint]) => {
        const { change, ...options } = changing(allow(5001), allow(5002));
        const { firewall, request } = endpointWithFirewall(endpoint, options);
        await request(kernelConnection);
        await wire(client, endpoint);
        const [kept, cut] = [flow(client, endpoint, 5001, version), flow(client, endpoint, 5002, version)];
        for (const one of [kept, cut]) {
          one.client.send();
          expect(await one.endpoint.arrives()).toBe(true);
          one.endpoint.send();
          expect(await one.client.arrives()).toBe(true);
        }

        await change(allow(5001), deny(5002));
        // The endpoint speaks first: a flow that is allowed does not depend on a packet from its client.
        kept.endpoint.send();
        expect(await kept.client.arrives()).toBe(true);
        cut.endpoint.send();
        expect(await cut.client.arrives()).toBe(false);
        kept.client.send();
        expect(await kept.endpoint.arrives()).toBe(true);
        cut.client.send();
        expect(await cut.endpoint.arrives()).toBe(false);
        expect((await firewall.counters()).rules[1]).toMatchObject({ name: "no5002", packets: 2 });

        await change(allow(5002));
        cut.endpoint.send();
        expect(await cut.client.arrives()).toBe(true);
        kept.endpoint.send();
        expect(await kept.client.arrives()).toBe(false);
        for (const one of [kept, cut]) one.close();
        await firewall.stop();
      }),
  );

  test("cut flows towards the client that they no longer allow", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const towards = "- { name: in, action: allow, protocol: udp, direction: to-client }";
      const { change, ...options } = changing(allow(5001), towards);
      const { firewall, request } = endpointWithFirewall(endpoint, options);
      await request(kernelConnection);
      await wire(client, endpoint);
      const inward = flow(client, endpoint, 6001);
      inward.endpoint.send();
      expect(await inward.client.arrives()).toBe(true);
      inward.client.send();
      expect(await inward.endpoint.arrives()).toBe(true);
      await change(allow(5001));
      inward.client.send();
      expect(await inward.endpoint.arrives()).toBe(false);
      inward.endpoint.send();
      expect(await inward.client.arrives()).toBe(false);
      inward.close();
      await firewall.stop();
    }));

  test("hold for every packet while one firewall follows another, and flows that stay allowed go on", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const rules = parseRules([deny(5001), allow(5002)].join("\n"));
      const first = endpointWithFirewall(endpoint, { rules });
      await first.request(kernelConnection);
      await wire(client, endpoint);
      const [denied, allowed] = [flow(client, endpoint, 5001), flow(client, endpoint, 5002)];
      let sent = 0;
      const traffic = setInterval(() => {
        sent++;
        denied.client.send();
        allowed.client.send();
      }, 1);
      /** Packets go on for a while: those sent so far have arrived or are dropped. */
      const more = async () => {
        const before = sent;
        while (sent < before + 20) await new Promise((resolve) => setImmediate(resolve));
        return allowed.endpoint.count();
      };
      try {
        expect(await more()).toBeGreaterThan(0);
        await first.firewall.stop();
        expect(await more()).toBeGreaterThan(10);

        const second = endpointWithFirewall(endpoint, {
          rules: parseRules([allow(5002), deny(5001)].join("\n")),
        });
        await second.firewall.prepare();
        expect(await more()).toBeGreaterThan(10);
        await second.request(kernelConnection);
        expect(await more()).toBeGreaterThan(10);
        expect(denied.endpoint.count()).toBe(0);

        await netlinkIn(endpoint).deleteLink(wireName);
        await second.close();
        await second.firewall.stop();
        expect(await nftablesIn(endpoint).tables()).toEqual([]);
      } finally {
        clearInterval(traffic);
        for (const one of [denied, allowed]) one.close();
      }
    }));
});
