import { describe, expect, test } from "vitest";
import { MechanismType, type Mechanism } from "../../../src/api/index.js";
import { Code, Context, peer, type Peer } from "../../../src/core/index.js";
import { localNamespaces } from "../../../src/elements/mechanisms/kernel/index.js";
import { describeElement, run, sampleRequest, virtualClock } from "../../../src/testing/index.js";

const kernel = (inodeURL: string): Mechanism => ({
  cls: "LOCAL",
  type: MechanismType.Kernel,
  parameters: inodeURL ? { inodeURL } : {},
});

const sendRequest = (caller: Peer | undefined, mechanism: Mechanism) => {
  const clock = virtualClock();
  const ctx = Context.background({ clock }).with(peer, caller);
  const request = { ...sampleRequest(clock.now()), mechanismPreferences: [mechanism] };
  return run([localNamespaces()], { clock, ctx }).send(request, ctx);
};

const far: Peer = { address: "10.0.0.7:41000", local: false };
const near: Peer = { address: "unix", local: true };

describeElement("mechanisms/kernel/local-namespaces", localNamespaces);

describe("mechanisms/kernel/local-namespaces", () => {
  test("rejects a caller on another machine that names a namespace by path", async () => {
    await expect(sendRequest(far, kernel("file:///proc/1/ns/net"))).rejects.toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringContaining("file:///proc/1/ns/net"),
    });
  });

  test("rejects an unknown caller like one on another machine", async () => {
    await expect(sendRequest(undefined, kernel("file:///proc/1/ns/net"))).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
  });

  test.each([
    ["a local caller", near, kernel("file:///proc/1/ns/net")],
    ["a far caller that names none", far, kernel("")],
    ["a far caller that passes a descriptor's number", far, kernel("inode://4/4026531840")],
  ])("lets %s pass", async (_who, caller, mechanism) => {
    await expect(sendRequest(caller, mechanism)).resolves.toBeDefined();
  });
});
