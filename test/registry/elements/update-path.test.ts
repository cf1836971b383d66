import { describe, expect, test } from "vitest";
import { toTimestamp, type NetworkServiceEndpoint } from "../../../src/api/index.js";
import {
  Code,
  peer,
  type ChainElement,
  type Context,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { registrationPath, type RegistrationPath } from "../../../src/wire/index.js";
import { insecureTokens, type TokenGenerator } from "../../../src/identity/index.js";
import { ownTokenExpiry, updatePath } from "../../../src/registry/elements/update-path/index.js";
import { checkContext, describeRegistryElement, failOnce, runRegistry } from "../../../src/testing/index.js";

const id = (name: string): string => `spiffe://example.org/${name}`;
const tokensOf = (name: string): TokenGenerator => insecureTokens({ subject: id(name) });
const tokenOf = (name: string): string => tokensOf(name)(undefined).token;
const calledBy = (ctx: Context, name: string, token = tokenOf(name)): Context =>
  ctx.with(peer, { address: name, local: true, token: { token, expires: toTimestamp(0) } });

describeRegistryElement("update-path", () => updatePath({ tokens: tokensOf("hop") }), {
  ctx: (ctx) => calledBy(ctx, "client"),
});

/** Records the path and the ids that arrive here. */
function recorder(): ChainElement<EndpointRegistry> & { path?: RegistrationPath; ids?: readonly string[] } {
  const element: ReturnType<typeof recorder> = {
    name: "look",
    register(ctx, endpoint, next) {
      element.path = ctx.get(registrationPath)!.current;
      element.ids = endpoint.pathIds;
      return next.register(ctx, endpoint);
    },
    unregister(ctx, endpoint, next) {
      element.path = ctx.get(registrationPath)!.current;
      element.ids = endpoint.pathIds;
      return next.unregister(ctx, endpoint);
    },
  };
  return element;
}

const tokensIn = (path: RegistrationPath | undefined): string[] =>
  path!.segments.map(({ token }) => JSON.parse(atob(token.split(".")[1]!)).sub as string);

describe("update-path", () => {
  test("starts a path with the caller and itself", async () => {
    const seen = recorder();
    const { register, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") }), seen]);
    const holder = { current: { index: 0, segments: [] } };
    await register({}, calledBy(ctx, "client").with(registrationPath, holder));
    expect(seen.path!.index).toBe(1);
    expect(tokensIn(seen.path)).toEqual([id("client"), id("hop")]);
    expect(seen.ids).toEqual([id("client"), id("hop")]);
    expect(holder.current).toEqual({ index: 0, segments: seen.path!.segments });
  });

  test("continues a path, and restores the index", async () => {
    const seen = recorder();
    const { register, ctx } = runRegistry([updatePath({ tokens: tokensOf("registry") }), seen]);
    const holder = {
      current: { index: 1, segments: [{ token: tokenOf("client") }, { token: tokenOf("placeholder") }] },
    };
    const entry = { pathIds: [id("client"), id("nsmgr")] };
    await register(entry, calledBy(ctx, "nsmgr").with(registrationPath, holder));
    expect(seen.path!.index).toBe(2);
    expect(tokensIn(seen.path)).toEqual([id("client"), id("nsmgr"), id("registry")]);
    expect(seen.ids).toEqual([id("client"), id("nsmgr"), id("registry")]);
    expect(holder.current.index).toBe(1);
    expect(holder.current.segments).toHaveLength(3);
  });

  test("overwrites the tokens and ids of the earlier call, and keeps the later segments", async () => {
    const seen = recorder();
    const { register, unregister, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") }), seen]);
    const names = ["client", "old", "older", "far"];
    const holder = { current: { index: 1, segments: names.map((name) => ({ token: tokenOf(name) })) } };
    const from = calledBy(ctx, "nsmgr").with(registrationPath, holder);
    const entry = await register({ pathIds: names.map(id) }, from);
    const expected = ["client", "nsmgr", "hop", "far"].map(id);
    expect(tokensIn(seen.path)).toEqual(expected);
    expect(seen.ids).toEqual(expected);
    await unregister(entry, from);
    expect(tokensIn(seen.path)).toEqual(expected);
    expect(holder.current.index).toBe(1);
  });

  test("rejects an index that is not in the path, and does not change the path", async () => {
    const { register, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") })]);
    for (const index of [2, -1, 0.5]) {
      const path = { index, segments: [{ token: tokenOf("a") }, { token: tokenOf("b") }] };
      const holder = { current: path };
      await expect(register({}, calledBy(ctx, "b").with(registrationPath, holder))).rejects.toMatchObject({
        code: Code.InvalidArgument,
      });
      expect(holder.current).toBe(path);
    }
  });

  test("does not change the caller's path when the call fails", async () => {
    const { register, ctx } = runRegistry([
      updatePath({ tokens: tokensOf("hop") }),
      failOnce(Code.Unavailable, "register"),
    ]);
    const path = { index: 0, segments: [{ token: tokenOf("client") }] };
    const holder = { current: path };
    await expect(register({}, calledBy(ctx, "client").with(registrationPath, holder))).rejects.toThrow();
    expect(holder.current).toBe(path);
  });

  test("writes an empty id for a caller whose token cannot be read", async () => {
    const seen = recorder();
    const { register, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") }), seen]);
    await register({}, calledBy(ctx, "client", "no token"));
    expect(seen.ids).toEqual(["", id("hop")]);
    await register({}, ctx);
    expect(seen.ids).toEqual(["", id("hop")]);
    expect(seen.path!.segments[0]).toEqual({ token: "" });
  });

  test("uses the caller's certificate, and rejects the token of another identity", async () => {
    const seen = recorder();
    const { register, unregister, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") }), seen]);
    const overTls = (token: string | undefined): Context =>
      ctx.with(peer, {
        address: "10.0.0.7:4711",
        local: false,
        spiffeId: id("client"),
        token: token === undefined ? undefined : { token, expires: toTimestamp(0) },
      });
    const unsigned = [
      { alg: "none", typ: "JWT" },
      { sub: id("victim"), aud: [id("hop")], exp: 2 ** 31 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    for (const [forged, subject] of [
      [`${unsigned}.`, id("victim")],
      [tokenOf("victim"), id("victim")],
      ["no token", "none"],
    ] as const) {
      const rejected = {
        code: Code.PermissionDenied,
        message: `the caller's certificate is for "${id("client")}", but its token is for "${subject}"`,
      };
      await expect(register({}, overTls(forged))).rejects.toMatchObject(rejected);
      await expect(unregister(undefined, overTls(forged))).rejects.toMatchObject(rejected);
    }
    expect(seen.ids).toBeUndefined();
    for (const token of [tokenOf("client"), undefined]) {
      await register({}, overTls(token));
      expect(seen.ids).toEqual([id("client"), id("hop")]);
    }
  });

  test("creates its token for the caller, and provides its expiry", async () => {
    const expires = toTimestamp(1234);
    const addresses: unknown[] = [];
    const expiries: unknown[] = [];
    const tokens: TokenGenerator = (to) => {
      addresses.push(to?.address);
      return { token: tokenOf("hop"), expires };
    };
    const { register, ctx } = runRegistry([
      updatePath({ tokens }),
      checkContext((c) => void expiries.push(c.get(ownTokenExpiry))),
    ]);
    await register({}, calledBy(ctx, "client"));
    expect(addresses).toEqual(["client"]);
    expect(expiries).toEqual([expires]);
  });

  test("rejects a call when it cannot create a token", async () => {
    const tokens: TokenGenerator = () => {
      throw new Error("no certificate");
    };
    const { register, unregister } = runRegistry([updatePath({ tokens })]);
    await expect(register()).rejects.toThrow("no certificate");
    await expect(unregister()).rejects.toThrow("no certificate");
  });

  test("does not change the given entry in place", async () => {
    const { register, ctx } = runRegistry([updatePath({ tokens: tokensOf("hop") })]);
    const pathIds: NetworkServiceEndpoint["pathIds"] = Object.freeze([]);
    const answer = await register({ pathIds }, calledBy(ctx, "client"));
    expect(answer.pathIds).toEqual([id("client"), id("hop")]);
  });
});
