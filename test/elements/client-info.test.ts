import { describe, expect, test } from "vitest";
import { clientInfo } from "../../src/elements/client-info/index.js";
import { describeElement, run } from "../../src/testing/index.js";

const env = { NODE_NAME: "node-1", POD_NAME: "pod-1", CLUSTER_NAME: "cluster-1" };

describeElement("client-info", () => clientInfo({ env }));

describe("client-info", () => {
  test("labels the connection with node, pod and cluster", async () => {
    const { request } = run([clientInfo({ env })]);
    const { labels } = await request({ labels: { app: "web" } });
    expect(labels).toEqual({ app: "web", nodeName: "node-1", podName: "pod-1", clusterName: "cluster-1" });
  });

  test("keeps existing labels", async () => {
    const { request } = run([clientInfo({ env })]);
    const { labels } = await request({ labels: { nodeName: "other", podName: "" } });
    expect(labels).toEqual({ nodeName: "other", podName: "", clusterName: "cluster-1" });
  });

  test("adds no label for a variable that is unset or empty", async () => {
    const { request } = run([clientInfo({ env: { NODE_NAME: "node-1", POD_NAME: "" } })]);
    expect((await request()).labels).toEqual({ nodeName: "node-1" });
  });
});
