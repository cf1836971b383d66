import { Subject, throwError, type Observable } from "rxjs";
import { describe, expect, test } from "vitest";
import type { NetworkServiceEndpointResponse } from "../../../src/api/index.js";
import { Code, endpointRegistryChain, NsmError, type EndpointRegistry } from "../../../src/core/index.js";
import { connect } from "../../../src/registry/elements/connect/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import { describeRegistryElement, failOnce, recorder, runRegistry } from "../../../src/testing/index.js";
import { changing, listen } from "../support.js";

const emptyRegistry = (): EndpointRegistry => endpointRegistryChain([]);
const watchAll = { networkServiceEndpoint: undefined, watch: true };

describeRegistryElement("connect", () => connect(emptyRegistry()));

describe("connect", () => {
  test("forwards the client's answer to later elements, and an Unregister to both", async () => {
    const near = recorder();
    const far = recorder();
    const client = endpointRegistryChain([
      far,
      changing({ answer: (endpoint) => ({ ...endpoint, url: "tcp://far:1" }) }),
    ]);
    const { register, unregister } = runRegistry([connect(client), near]);
    await register();
    expect(near.args("register")).toMatchObject([{ url: "tcp://far:1" }]);
    await unregister();
    expect(far.calls).toEqual(["register", "unregister"]);
    expect(near.calls).toEqual(["register", "unregister"]);
  });

  test("undoes the client's Register when a later element rejects it", async () => {
    const far = recorder();
    const { register, leftovers } = runRegistry([
      connect(endpointRegistryChain([far])),
      failOnce(Code.PermissionDenied, "register"),
    ]);
    await expect(register()).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(far.calls).toEqual(["register", "unregister"]);
    expect(leftovers()).toEqual({});
  });

  test("forwards an Unregister to both even if one fails, and reports the failure", async () => {
    const near = recorder();
    const failing = endpointRegistryChain([failOnce(Code.Unavailable, "unregister")]);
    const one = runRegistry([connect(failing), near]);
    await expect(one.unregister()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(near.calls).toEqual(["unregister"]);

    const alsoFailing = endpointRegistryChain([failOnce(Code.Unavailable, "unregister")]);
    const two = runRegistry([connect(alsoFailing), failOnce(Code.Unavailable, "unregister")]);
    const error = await two.unregister().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect(((error as NsmError).cause as AggregateError).errors).toHaveLength(2);
  });

  test("shows all entries of the client, and then those of later elements", async () => {
    const far = memoryEndpoints();
    const behind = runRegistry([far]);
    for (let i = 0; i < 500; i++) await behind.register({ name: `far-${i}` });
    const near = memoryEndpoints();
    await runRegistry([near]).register({ name: "near" });
    const { find } = runRegistry([connect(endpointRegistryChain([far])), near]);
    const names = (await find()).map(({ networkServiceEndpoint }) => networkServiceEndpoint!.name);
    expect(names).toHaveLength(501);
    expect(names.at(-1)).toBe("near");
  });

  test("reports a broken stream of the client as an error, not as the end", async () => {
    const down: Observable<NetworkServiceEndpointResponse> = throwError(
      () => new NsmError(Code.Unavailable, "down"),
    );
    const { find } = runRegistry([connect({ ...emptyRegistry(), find: () => down })]);
    await expect(find()).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("shows the entries of later elements during a watch of the client, and fails with that watch", async () => {
    const stream = new Subject<NetworkServiceEndpointResponse>();
    const store = memoryEndpoints();
    const elements = [connect({ ...emptyRegistry(), find: () => stream }), store];
    const { ctx, register, unregister, leftovers } = runRegistry(elements);
    await register();
    const reader = listen(endpointRegistryChain(elements).find(ctx, watchAll));
    expect(reader.seen).toHaveLength(1);
    stream.error(new NsmError(Code.Unavailable, "the connection was cut"));
    expect(reader.end).toMatchObject({ error: { code: Code.Unavailable } });
    await unregister();
    expect(leftovers()).toEqual({});
  });
});
