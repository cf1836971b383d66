import { describe, expect, test } from "vitest";
import {
  Code,
  endpointRegistryChain,
  NsmError,
  type ChainElement,
  type Elements,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { limits } from "../../../src/registry/elements/limits/index.js";
import { endpointKind } from "../../../src/registry/kinds.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistryElement,
  failOnce,
  hold,
  runRegistry,
  sampleEndpoint,
} from "../../../src/testing/index.js";
import { listen } from "../support.js";

const kind = endpointKind;
const identityPath = (identity: string) => ({ pathIds: [identity] });

describeRegistryElement(
  "limits",
  () => limits({ kind, entryBytes: 10_000, namesPerIdentity: 3, watches: 3 }),
  { before: [begin(), registrationState()] },
);

describe("limits", () => {
  test("lets an identity hold and refresh its maximum number of names, independent of others", async () => {
    const { register, unregister, leftovers } = runRegistry([
      begin(),
      registrationState(),
      limits({ kind, namesPerIdentity: 2 }),
    ]);
    await register({ name: "a", ...identityPath("me") });
    await register({ name: "b", ...identityPath("me") });
    await register({ name: "a", ...identityPath("me") });
    await expect(register({ name: "c", ...identityPath("me") })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    await register({ name: "c", ...identityPath("you") });
    await unregister(sampleEndpoint(0, { name: "a" }));
    await register({ name: "d", ...identityPath("me") });
    for (const name of ["b", "c", "d"]) await unregister(sampleEndpoint(0, { name }));
    expect(leftovers()).toEqual({});
  });

  test("does not count a name when an earlier element rejects the answer", async () => {
    const strict: ChainElement<EndpointRegistry> = {
      name: "strict",
      async register(ctx, endpoint, next) {
        await next.register(ctx, endpoint);
        throw new NsmError(Code.FailedPrecondition, "not like this");
      },
    };
    const element = limits({ kind, namesPerIdentity: 1 });
    const { register, leftovers } = runRegistry([begin(), registrationState(), strict, element]);
    for (const name of ["a", "b"]) {
      await expect(register({ name, ...identityPath("me") })).rejects.toMatchObject({
        code: Code.FailedPrecondition,
      });
    }
    expect(leftovers()).toEqual({});
  });

  test("counts a name for the identity that registered it last", async () => {
    const { register, unregister, leftovers } = runRegistry([
      begin(),
      registrationState(),
      limits({ kind, namesPerIdentity: 1 }),
    ]);
    await register({ name: "a", ...identityPath("me") });
    await register({ name: "a", ...identityPath("you") });
    await register({ name: "b", ...identityPath("me") });
    await expect(register({ name: "c", ...identityPath("you") })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    for (const name of ["a", "b"]) await unregister(sampleEndpoint(0, { name }));
    expect(leftovers()).toEqual({});
  });

  test("enforces the limit for concurrent Registers, and does not count failed ones", async () => {
    const gate = hold();
    const { register, unregister, clock, leftovers } = runRegistry([
      begin(),
      registrationState(),
      limits({ kind, namesPerIdentity: 1 }),
      gate,
      failOnce(Code.Unavailable, "register"),
    ]);
    const first = register({ name: "a", ...identityPath("me") });
    await expect(register({ name: "b", ...identityPath("me") })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    await clock.settle();
    gate.release();
    await expect(first).rejects.toMatchObject({ code: Code.Unavailable });
    await register({ name: "b", ...identityPath("me") });
    await unregister(sampleEndpoint(0, { name: "b" }));
    expect(leftovers()).toEqual({});
  });

  test("rejects an entry that is too large", async () => {
    const { register, leftovers } = runRegistry([
      begin(),
      registrationState(),
      limits({ kind, entryBytes: 1_000 }),
    ]);
    await expect(register({ url: `tcp://${"a".repeat(1_000)}:1` })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(leftovers()).toEqual({});
  });

  test("limits open watches, but not closed ones and not plain Finds", async () => {
    const elements: Elements<EndpointRegistry> = [
      begin(),
      registrationState(),
      limits({ kind, watches: 1 }),
      memoryEndpoints(),
    ];
    const { ctx, find, leftovers } = runRegistry(elements);
    const chain = endpointRegistryChain(elements);
    const watch = { networkServiceEndpoint: undefined, watch: true };
    const first = listen(chain.find(ctx, watch));
    const second = listen(chain.find(ctx, watch));
    expect(second.end).toMatchObject({ error: { code: Code.ResourceExhausted } });
    expect(await find()).toEqual([]);
    expect(first.end).toBeUndefined();
    first.stop();
    const third = listen(chain.find(ctx, watch));
    expect(third.end).toBeUndefined();
    third.stop();
    expect(leftovers()).toEqual({});
  });
});
