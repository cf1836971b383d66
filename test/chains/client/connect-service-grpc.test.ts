import { afterEach, beforeEach, expect, test } from "vitest";
import { connectService } from "../../../src/chains/client/index.js";
import { insecureIdentity } from "../../../src/identity/index.js";
import { mesh, type Mesh } from "../../../src/testing/index.js";

let net: Mesh;

beforeEach(async () => {
  net = await mesh({ transport: "grpc" });
  await net.endpoint({ name: "nse-1", service: "firewall" });
});

afterEach(() => net.stop());

test("connects, reports and closes over gRPC", async () => {
  const identity = insecureIdentity();
  const connected = connectService({ name: "nsc", service: "firewall", connectTo: net.nsmgr.url, identity });
  const types: string[] = [];
  connected.events.subscribe(({ type }) => types.push(type));
  await connected.established;
  expect(connected.path.map(({ name }) => name)).toEqual(["nsc", "nsmgr", "forwarder", "nse-1"]);
  await connected.close();
  expect(types).toEqual(["established", "closed"]);
  expect(connected.debugState()).toEqual({});
});
