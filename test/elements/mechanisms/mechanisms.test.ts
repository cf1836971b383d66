import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { currentSegment, Mechanism } from "../../../src/api/index.js";
import { Code, NsmError, Slot, type NetworkServiceElement } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { mechanismsClient, mechanismsServer } from "../../../src/elements/mechanisms/index.js";
import { offerMechanism } from "../../../src/elements/mechanisms/offer/index.js";
import {
  checkContext,
  describeElement,
  hold,
  recorder,
  run,
  sampleRequest,
  type Recorder,
} from "../../../src/testing/index.js";

const mechanism = (type: string, parameters: Record<string, string> = {}): Mechanism =>
  Mechanism.create({ cls: "LOCAL", type, parameters });

describeElement("mechanisms/server", () => mechanismsServer({ KERNEL: [] }));
describeElement("mechanisms/client", () => mechanismsClient({ KERNEL: [] }));
describeElement("mechanisms/offer", () => offerMechanism(mechanism("KERNEL")));

const failWith = (code: Code, message: string) =>
  checkContext((_ctx, method) => {
    if (method === "request") throw new NsmError(code, message);
  });

/** A request with these preferences. */
function server(elements: Parameters<typeof run>[0]) {
  const bench = run(elements);
  const sendRequest = (types: readonly string[], chosen?: Mechanism) =>
    bench.send({
      ...sampleRequest(bench.clock.now(), chosen ? { mechanism: chosen } : {}),
      mechanismPreferences: types.map((type) => mechanism(type, { name: `${type.toLowerCase()}-0` })),
    });
  return { ...bench, sendRequest };
}

describe("mechanisms/server", () => {
  const watched = () => {
    const seen: { [type: string]: Recorder } = { MEMIF: recorder(), KERNEL: recorder(), VXLAN: recorder() };
    return { seen, counts: () => Object.values(seen).map(({ requests }) => requests.length) };
  };

  test("the first supported preference wins, in any order", () => {
    const supported = ["MEMIF", "KERNEL", "VXLAN"];
    const offers = fc
      .shuffledSubarray([...supported, "VFIO", "IPSEC"])
      .filter((types) => types.some((type) => supported.includes(type)));
    return fc.assert(
      fc.asyncProperty(offers, async (types) => {
        const { seen } = watched();
        const behind = recorder();
        const { sendRequest } = server([mechanismsServer(seen), behind]);
        const expectedType = types.find((type) => supported.includes(type))!;
        const response = await sendRequest(types);
        expect(response.mechanism?.type).toBe(expectedType);
        expect(seen[expectedType]!.requests[0]!.connection!.mechanism).toEqual(
          mechanism(expectedType, { name: `${expectedType.toLowerCase()}-0` }),
        );
        expect(Object.values(seen).flatMap(({ calls }) => calls)).toEqual(["request"]);
        expect(behind.calls).toEqual(["request"]);
      }),
    );
  });

  test("a selected mechanism stays, whatever the preferences", async () => {
    const { seen, counts } = watched();
    const { sendRequest, close, leftovers } = server([mechanismsServer(seen)]);
    await sendRequest(["MEMIF"], mechanism("KERNEL"));
    await close();
    expect(counts()).toEqual([0, 1, 0]);
    expect(seen["KERNEL"]!.closes).toHaveLength(1);
    expect(leftovers()).toEqual({});
  });

  test("an unsupported mechanism is INVALID_ARGUMENT, with the requested and the supported types", async () => {
    const { seen, counts } = watched();
    const { sendRequest, request, close } = server([mechanismsServer(seen)]);
    const refused = (message: string) => ({ code: Code.InvalidArgument, message });
    const supported = "supported: MEMIF, KERNEL, VXLAN";
    await expect(sendRequest(["VFIO", "IPSEC"])).rejects.toMatchObject(
      refused(`none of the mechanisms "VFIO", "IPSEC" is supported; ${supported}`),
    );
    await expect(sendRequest([])).rejects.toMatchObject(
      refused(`the request offers no mechanism; ${supported}`),
    );
    const notSupported = refused(`mechanism "toString" is not supported; ${supported}`);
    await expect(sendRequest(["KERNEL"], mechanism("toString"))).rejects.toMatchObject(notSupported);
    const connection = { ...(await request()), mechanism: mechanism("toString") };
    await expect(close(connection)).rejects.toMatchObject(notSupported);
    expect(counts()).toEqual([0, 1, 0]);
  });

  test("failing mechanisms are skipped until one works", async () => {
    const working = recorder();
    const { sendRequest } = server([
      mechanismsServer({
        MEMIF: failWith(Code.Internal, "no memif"),
        KERNEL: [failWith(Code.Internal, "no veth")],
        VXLAN: working,
      }),
    ]);
    expect((await sendRequest(["MEMIF", "KERNEL", "VXLAN"])).mechanism?.type).toBe("VXLAN");
    expect(working.requests).toHaveLength(1);
  });

  test("if all fail with one code, the error has it, with every failure as cause", async () => {
    const { sendRequest } = server([
      mechanismsServer({
        MEMIF: failWith(Code.Internal, "no memif"),
        KERNEL: failWith(Code.Internal, "no veth"),
      }),
    ]);
    const error = await sendRequest(["MEMIF", "KERNEL"]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: Code.Internal,
      message: "none of 2 mechanisms worked: MEMIF, KERNEL",
    });
    const { errors } = (error as NsmError).cause as AggregateError;
    expect(errors.map(({ message }: Error) => message)).toEqual(["no memif", "no veth"]);
  });

  test("no further mechanism is tried after the caller canceled", async () => {
    const { seen } = watched();
    const {
      ctx,
      clock,
      send,
      request: _request,
      leftovers,
    } = server([mechanismsServer({ ...seen, MEMIF: hold() })]);
    const caller = new AbortController();
    const request = {
      ...sampleRequest(clock.now()),
      mechanismPreferences: [mechanism("MEMIF"), mechanism("KERNEL")],
    };
    const call = ctx.withSignal(caller.signal, (c) => send(request, c));
    call.catch(() => {});
    await clock.settle();
    caller.abort(new NsmError(Code.Cancelled, "gone"));
    await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
    expect(seen["KERNEL"]!.calls).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("a Close without a mechanism skips all of them", async () => {
    const { seen, counts } = watched();
    const behind = recorder();
    const { close } = server([mechanismsServer(seen), behind]);
    await close();
    expect(behind.closes).toHaveLength(1);
    expect(counts()).toEqual([0, 0, 0]);
  });

  test("reports the resources that the elements of its mechanisms hold", async () => {
    let held = 0;
    const holder: NetworkServiceElement = {
      name: "holder",
      debugState: () => ({ values: held }),
      async request(ctx, request, next) {
        held++;
        return next.request(ctx, request);
      },
      async close(ctx, connection, next) {
        held--;
        return next.close(ctx, connection);
      },
    };
    const { sendRequest, close, debugState, leftovers } = server([mechanismsServer({ KERNEL: [[holder]] })]);
    await sendRequest(["KERNEL"]);
    expect(debugState()).toEqual({ "mechanisms/server": { holder: { values: 1 } } });
    await close();
    expect(leftovers()).toEqual({});
  });

  test("records the interface in the metrics of the own segment, once", async () => {
    const { sendRequest, refresh } = server([mechanismsServer({ KERNEL: [] })]);
    const first = await sendRequest(["KERNEL"]);
    expect(currentSegment(first)?.metrics).toEqual({ server_interface: "KERNEL/kernel-0" });
    const second = await refresh({ mechanism: mechanism("KERNEL", { name: "renamed" }) });
    expect(currentSegment(second)?.metrics).toEqual({ server_interface: "KERNEL/kernel-0" });
  });

  test("an interface without a name is unknown in the metrics", async () => {
    const { sendRequest } = server([mechanismsServer({ KERNEL: [] })]);
    const response = await sendRequest([], mechanism("KERNEL"));
    expect(currentSegment(response)?.metrics).toEqual({ server_interface: "KERNEL/unknown" });
  });
});

describe("mechanisms/client", () => {
  /** A next hop that accepts one type. */
  const takes = (wanted: string): NetworkServiceElement => ({
    name: "next-hop",
    async request(_ctx, { connection, mechanismPreferences }) {
      const found = mechanismPreferences.find(({ type }) => type === wanted);
      if (!found) throw new NsmError(Code.InvalidArgument, `only ${wanted} is supported`);
      return { ...connection!, mechanism: found };
    },
  });

  test("offers one after the other until the next hop accepts one", async () => {
    const memif = recorder();
    const kernel = recorder();
    const { sendRequest } = server([mechanismsClient({ MEMIF: memif, KERNEL: kernel }), takes("KERNEL")]);
    const response = await sendRequest(["MEMIF", "KERNEL"]);
    expect(response.mechanism?.type).toBe("KERNEL");
    const offered = [memif, kernel].map(({ requests }) =>
      requests[0]!.mechanismPreferences.map(({ type }) => type),
    );
    expect(offered).toEqual([["MEMIF"], ["KERNEL"]]);
    expect(currentSegment(response)?.metrics).toEqual({ client_interface: "KERNEL/kernel-0" });
  });

  test("the elements of its mechanisms share the connection's state", async () => {
    const slot = new Slot<number>("test");
    const counts: number[] = [];
    const counter: NetworkServiceElement = {
      name: "counter",
      async request(ctx, request, next) {
        slot.set(ctx, (slot.get(ctx) ?? 0) + 1);
        counts.push(slot.get(ctx)!);
        return next.request(ctx, request);
      },
    };
    const { request, refresh } = server([connectionState(), mechanismsClient({ KERNEL: counter })]);
    await request();
    await refresh();
    expect(counts).toEqual([1, 2]);
  });
});

describe("mechanisms/offer", () => {
  test("adds its mechanism after the others, unless it is present", async () => {
    const seen = recorder();
    const { sendRequest } = server([offerMechanism(mechanism("KERNEL", { a: "1" })), seen]);
    await sendRequest(["MEMIF"]);
    await sendRequest(["KERNEL", "MEMIF"]);
    expect(seen.requests.map((request) => request.mechanismPreferences.map(({ type }) => type))).toEqual([
      ["MEMIF", "KERNEL"],
      ["KERNEL", "MEMIF"],
    ]);
    expect(seen.requests[0]!.mechanismPreferences[1]!.parameters).toEqual({ a: "1" });
  });
});
