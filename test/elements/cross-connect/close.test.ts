import { Code } from "../../../src/core/index.js";
import { failOnce } from "../../../src/testing/index.js";
import { describe, expect, test } from "vitest";
import { FakeKernel } from "../support/fake-kernel.js";
import { kernelMechanism } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, forwarder } from "./kit.js";

describe("cross-connect closes", () => {
  test("even if the next hop is unreachable", async () => {
    const { sendRequest, close, kernel, leftovers } = forwarder({
      probes: [failOnce(Code.Unavailable, "close")],
    });
    await sendRequest();
    await expect(close()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("and reports a failure on both sides", async () => {
    const { sendRequest, close, kernel } = forwarder({ probes: [failOnce(Code.Unavailable, "close")] });
    await sendRequest();
    kernel.failNext("deleteLink", Code.ResourceExhausted);
    await expect(close()).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringMatching(/failed here and at the next hop/),
    });
  });

  test.each([
    ["the client's namespace is gone", (kernel: FakeKernel) => kernel.destroy(CLIENT)],
    ["the endpoint's namespace is gone", (kernel: FakeKernel) => kernel.destroy(ENDPOINT)],
    [
      "both namespaces are gone",
      (kernel: FakeKernel) => {
        kernel.destroy(CLIENT);
        kernel.destroy(ENDPOINT);
      },
    ],
    [
      "the client's process is gone, not its namespace",
      (kernel: FakeKernel) => kernel.move(CLIENT, "/run/netns/c"),
    ],
    [
      "both processes are gone, not their namespaces",
      (kernel: FakeKernel) => {
        kernel.move(CLIENT, "/run/netns/c");
        kernel.move(ENDPOINT, "/run/netns/e");
      },
    ],
    [
      "other namespaces are where they were",
      (kernel: FakeKernel) => {
        kernel.move(CLIENT, "/run/netns/c");
        kernel.move(ENDPOINT, "/run/netns/e");
        kernel.add(CLIENT);
        kernel.add(ENDPOINT);
        kernel.addLink(CLIENT, "nsm-1");
      },
    ],
  ])("when %s", async (_what, happen) => {
    const { sendRequest, close, kernel, leftovers } = forwarder();
    await sendRequest();
    happen(kernel);
    await close();
    const gone = (path: string): boolean => {
      try {
        return kernel.show(path).every(({ alias }) => alias === undefined);
      } catch {
        return true;
      }
    };
    expect([CLIENT, ENDPOINT, "/run/netns/c", "/run/netns/e"].map(gone)).toEqual([true, true, true, true]);
    expect([leftovers(), kernel.opened]).toEqual([{}, 0]);
  });

  test("the vWire of an earlier forwarder, by its mark", async () => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT);
    const connection = await forwarder({ kernel }).sendRequest();
    const { close, leftovers } = forwarder({ kernel });
    // With further segments in the path, begin() forwards the Close of an unknown connection.
    const path = connection.path!;
    const endpointSegment = { ...path.pathSegments[1]!, name: "nse", id: "nse-id" };
    await close({ ...connection, path: { ...path, pathSegments: [...path.pathSegments, endpointSegment] } });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("only its own vWire: one that another connection took over stays", async () => {
    const { sendRequest, kernel, close, leftovers } = forwarder();
    const first = await sendRequest();
    // The same client on another path: the first segment is the same, the forwarder's is not.
    const segment = first.path!.pathSegments[0]!;
    const second = await sendRequest({
      id: "other-hop",
      path: { index: 1, pathSegments: [segment, { ...segment, name: "nsmgr", id: "other-hop" }] },
    });
    const index = kernel.indexOf(CLIENT, "nsm-1");
    await close(first);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
    await close(second);
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });

  test("nothing of an established connection when it closes another one of the same client", async () => {
    const { sendRequest, kernel, close, debugState } = forwarder();
    const connection = await sendRequest();
    const path = connection.path!;
    const unknown = { ...path.pathSegments[1]!, id: "never-asked-for" };
    const endpointSegment = { ...unknown, name: "nse", id: "nse-id" };
    await close({
      ...connection,
      id: unknown.id,
      path: { index: 1, pathSegments: [path.pathSegments[0]!, unknown, endpointSegment] },
    });
    expect([kernel.show(CLIENT).length, debugState()["cross-connect"]]).toEqual([1, { vWires: 1 }]);
  });

  test("all vWires for a forwarder that ends", async () => {
    const { sendRequest, answer, kernel, wiring, debugState } = forwarder();
    await sendRequest();
    answer.mechanism = kernelMechanism(ENDPOINT, "fw-2");
    await sendRequest({ id: "two", mechanism: kernelMechanism(CLIENT, "nsm-2") });
    expect(debugState()["cross-connect"]).toEqual({ vWires: 2 });
    await wiring.removeVWires();
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), debugState()["cross-connect"]]).toEqual([
      [],
      [],
      undefined,
    ]);
  });
});
