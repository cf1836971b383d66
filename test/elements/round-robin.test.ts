import { describe, expect, test } from "vitest";
import { Code, NsmError, remoteUrl, type Context } from "../../src/core/index.js";
import { candidates } from "../../src/elements/discover/index.js";
import { roundRobin } from "../../src/elements/round-robin/index.js";
import { checkContext, describeElement, failOnce, hold, recorder, run } from "../../src/testing/index.js";
import { endpoint } from "./support/registries.js";

const offering = (ctx: Context, ...names: string[]): Context =>
  ctx.with(
    candidates,
    names.map((name) => endpoint(name)),
  );

describeElement("round-robin", () => roundRobin(), { ctx: (ctx) => offering(ctx, "a") });

describe("round-robin", () => {
  function bench(...behind: Parameters<typeof run>[0]) {
    const seen = recorder();
    const urls: (string | undefined)[] = [];
    const recordUrl = checkContext((ctx) => void urls.push(ctx.get(remoteUrl)));
    const requestedEndpoints = () =>
      seen.requests.map(({ connection }) => connection!.networkServiceEndpointName);
    return { urls, seen, requestedEndpoints, ...run([roundRobin(), recordUrl, seen, ...behind]) };
  }
  const refuse = (...names: string[]) =>
    checkContext((_ctx, _method, arg) => {
      const name = (arg as { connection: { networkServiceEndpointName: string } }).connection
        .networkServiceEndpointName;
      if (names.includes(name)) throw new NsmError(Code.ResourceExhausted, `${name} is full`);
    });

  test("each request starts with the next candidate", async () => {
    const { ctx, request, requestedEndpoints, urls } = bench();
    for (let i = 0; i < 4; i++) await request({}, offering(ctx, "a", "b", "c"));
    expect(requestedEndpoints()).toEqual(["a", "b", "c", "a"]);
    expect(urls).toEqual(["tcp://a", "tcp://b", "tcp://c", "tcp://a"]);
  });

  test("services rotate independently, and continue when endpoints disappear", async () => {
    const { ctx, request, requestedEndpoints } = bench();
    await request({ networkService: "one" }, offering(ctx, "a", "b", "c"));
    await request({ networkService: "two" }, offering(ctx, "x", "y"));
    await request({ networkService: "one" }, offering(ctx, "a", "b", "c"));
    await request({ networkService: "one" }, offering(ctx, "a"));
    await request({ networkService: "two" }, offering(ctx, "x", "y"));
    expect(requestedEndpoints()).toEqual(["a", "x", "b", "a", "y"]);
  });

  test("tries the next candidate when one rejects, without state of the first try", async () => {
    const { ctx, request, seen, requestedEndpoints } = bench(refuse("a"));
    const response = await request({ labels: { own: "1" } }, offering(ctx, "a", "b"));
    expect(response.networkServiceEndpointName).toBe("b");
    expect(requestedEndpoints()).toEqual(["a", "b"]);
    const [first, second] = seen.requests.map(({ connection }) => ({
      ...connection,
      networkServiceEndpointName: "",
    }));
    expect(second).toEqual(first);
  });

  test("a failing candidate does not change the rotation of others", async () => {
    const { ctx, request, requestedEndpoints } = bench(refuse("a"));
    await request({}, offering(ctx, "a", "b", "c"));
    await request({}, offering(ctx, "a", "b", "c"));
    expect(requestedEndpoints()).toEqual(["a", "b", "b"]);
  });

  test("tries an endpoint once that matches two routes", async () => {
    const { ctx, request, requestedEndpoints } = bench(refuse("a", "b"));
    await expect(request({}, offering(ctx, "a", "b", "a"))).rejects.toThrow();
    expect(requestedEndpoints()).toEqual(["a", "b"]);
  });

  test("if all fail with one code, the error has it, with every failure as cause", async () => {
    const { ctx, request } = bench(refuse("a", "b"));
    const error = await request({}, offering(ctx, "a", "b")).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: Code.ResourceExhausted,
      message: 'all 2 endpoints of network service "icmp" rejected the connection',
    });
    const { errors } = (error as NsmError).cause as AggregateError;
    expect(errors.map((each: Error) => each.message)).toEqual(["a is full", "b is full"]);
  });

  test("if they fail with different codes, it is UNAVAILABLE", async () => {
    const { ctx, request } = bench(failOnce(Code.NotFound), refuse("b"));
    await expect(request({}, offering(ctx, "a", "b"))).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("no further candidate is tried after the caller canceled", async () => {
    const { ctx, clock, request, requestedEndpoints, leftovers } = bench(hold());
    const caller = new AbortController();
    const call = offering(ctx, "a", "b").withSignal(caller.signal, (c) => request({}, c));
    call.catch(() => {});
    await clock.settle();
    caller.abort(new NsmError(Code.Cancelled, "gone"));
    await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
    expect(requestedEndpoints()).toEqual(["a"]);
    expect(leftovers()).toEqual({});
  });

  test("forwards calls without candidates or with a URL", async () => {
    const { ctx, request, urls, requestedEndpoints } = bench();
    await request();
    await request({}, offering(ctx, "a").with(remoteUrl, "tcp://given"));
    expect(urls).toEqual([undefined, "tcp://given"]);
    expect(requestedEndpoints()).toEqual(["", ""]);
  });
});
