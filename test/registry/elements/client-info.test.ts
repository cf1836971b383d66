import { describe, expect, test } from "vitest";
import { NetworkServiceLabels } from "../../../src/api/index.js";
import { clientInfo } from "../../../src/registry/elements/client-info/index.js";
import { describeRegistryElement, runRegistry } from "../../../src/testing/index.js";

const env = { NODE_NAME: "node-1", POD_NAME: "pod-1", CLUSTER_NAME: "east", HOME: "/root" };
const all = { nodeName: "node-1", podName: "pod-1", clusterName: "east" };
const labelled = (labels: Record<string, string>) => NetworkServiceLabels.create({ labels });

describeRegistryElement("client-info", () => clientInfo({ env }), {
  entry: { networkServiceLabels: { icmp: labelled({ app: "a" }) } },
});

describe("client-info", () => {
  test("adds location labels to each service that the endpoint has labels for", async () => {
    const { register } = runRegistry([clientInfo({ env })]);
    const answer = await register({
      networkServiceLabels: { icmp: labelled({}), dns: labelled({ app: "a" }) },
    });
    expect(answer.networkServiceLabels["icmp"]!.labels).toEqual(all);
    expect(answer.networkServiceLabels["dns"]!.labels).toEqual({ app: "a", ...all });
  });

  test("adds nothing to an endpoint without labeled services", async () => {
    const { register } = runRegistry([clientInfo({ env })]);
    expect((await register()).networkServiceLabels).toEqual({});
  });

  test("never overwrites a label, and ignores unset variables", async () => {
    const { register } = runRegistry([clientInfo({ env: { NODE_NAME: "node-1", POD_NAME: "" } })]);
    const mine = await register({ networkServiceLabels: { icmp: labelled({ nodeName: "mine" }) } });
    expect(mine.networkServiceLabels["icmp"]!.labels).toEqual({ nodeName: "mine" });
    const none = await register({ networkServiceLabels: { icmp: labelled({}) } });
    expect(none.networkServiceLabels["icmp"]!.labels).toEqual({ nodeName: "node-1" });
  });
});
