import { expect, test } from "vitest";
import { clientLabels } from "../../src/wire/index.js";

test("the labels of a place come from the variables that are set", () => {
  expect(clientLabels({ NODE_NAME: "node-1", POD_NAME: "", HOME: "/root" })).toEqual({ nodeName: "node-1" });
  expect(clientLabels({ NODE_NAME: "n", POD_NAME: "p", CLUSTER_NAME: "c" })).toEqual({
    nodeName: "n",
    podName: "p",
    clusterName: "c",
  });
});
