import { describe, expect, test } from "vitest";
import { NetworkServiceRequest, toTimestamp, type Connection } from "../../src/api/index.js";
import { Code, logger, NsmError, peer, silent, type Peer, type Token } from "../../src/core/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { updateToken } from "../../src/elements/update-token/index.js";
import { insecureTokens } from "../../src/identity/index.js";
import { describeElement, recorder, run, sampleConnection } from "../../src/testing/index.js";

const token = (text: string, expires = 1_000): Token => ({ token: text, expires: toTimestamp(expires) });
const caller: Peer = { address: "127.0.0.1:4000", local: true, token: token("from-headers", 2_000) };

const tokens = (to: Peer | undefined): Token => token(`for ${to?.address ?? "nobody"}`);
const segments = (connection: Connection | undefined): unknown[] =>
  connection!.path!.pathSegments.map(({ name, token: text, expires }) => [name, text, expires?.seconds]);

describeElement("update-token", () => updateToken({ tokens }), { ctx: (ctx) => ctx.with(peer, caller) });

describe("update-token", () => {
  test("writes the caller's token into its segment and a token for the caller into the own one", async () => {
    const seen = recorder();
    const { request, ctx } = run([updatePath({ name: "hop" }), updateToken({ tokens }), seen]);
    const answer = await request({}, ctx.with(peer, caller));
    const expected = [
      ["client", "from-headers", 2],
      ["hop", "for 127.0.0.1:4000", 1],
    ];
    expect(segments(seen.requests[0]?.connection)).toEqual(expected);
    expect(segments(answer)).toEqual(expected);
  });

  test("renews the tokens on every Request and on Close, and changes no others", async () => {
    const seen = recorder();
    let signed = 0;
    const { request, refresh, close, ctx } = run([
      updatePath({ name: "hop" }),
      updateToken({ tokens: () => token(`own-${++signed}`) }),
      seen,
      // The answer of the next hop.
      {
        name: "next-hop",
        async request(c, r, next) {
          const response = await next.request(c, r);
          const next_ = { name: "next-hop", id: "n", token: "theirs", expires: undefined, metrics: {} };
          return {
            ...response,
            path: { ...response.path!, pathSegments: [...response.path!.pathSegments.slice(0, 2), next_] },
          };
        },
      },
    ]);
    await request({}, ctx.with(peer, caller));
    await refresh({}, ctx.with(peer, { ...caller, token: token("newer", 3_000) }));
    await close(undefined, ctx.with(peer, { ...caller, token: token("newest", 4_000) }));
    expect(segments(seen.requests[1]?.connection)).toEqual([
      ["client", "newer", 3],
      ["hop", "own-2", 1],
      ["next-hop", "theirs", undefined],
    ]);
    expect(segments(seen.closes[0])).toEqual([
      ["client", "newest", 4],
      ["hop", "own-3", 1],
      ["next-hop", "theirs", undefined],
    ]);
  });

  test("keeps the token in the caller's segment if the headers have none, and logs this", async () => {
    const warnings: string[] = [];
    const { request, ctx } = run([updatePath({ name: "hop" }), updateToken({ tokens })]);
    const recording = ctx.with(logger, {
      ...silent,
      warn: (_fields, message) => void warnings.push(message),
    });
    const answer = await request({}, recording.with(peer, { ...caller, token: undefined }));
    expect(segments(answer)[0]).toEqual(["client", "token-of-client", expect.any(Number)]);
    expect(warnings).toEqual(["the caller sent no token"]);
  });

  test("rejects a token of another identity than TLS verified, in the headers and in the path", async () => {
    const seen = recorder();
    const { send, close, ctx } = run([updatePath({ name: "hop" }), updateToken({ tokens }), seen]);
    const tokenOf = (subject: string): Token => insecureTokens({ subject })(undefined);
    const ownerToken = tokenOf("spiffe://test/victim");
    const otherPeer = { address: "10.0.0.1:1", local: false, spiffeId: "spiffe://test/thief" };
    const forged = sampleConnection(0);
    const inPath = {
      ...forged,
      path: { ...forged.path!, pathSegments: [{ ...forged.path!.pathSegments[0]!, ...ownerToken }] },
    };
    const denied = {
      code: Code.PermissionDenied,
      message: `the caller's certificate is for "spiffe://test/thief", but its token is for "spiffe://test/victim"`,
    };
    const request = (connection: Connection): NetworkServiceRequest => ({
      connection,
      mechanismPreferences: [],
    });
    for (const [by, connection] of [
      [{ ...otherPeer, token: ownerToken }, forged],
      [{ ...otherPeer, token: undefined }, inPath],
    ] as const) {
      await expect(send(request(connection), ctx.with(peer, by))).rejects.toMatchObject(denied);
      await expect(close(connection, ctx.with(peer, by))).rejects.toMatchObject(denied);
    }
    expect(seen.calls).toEqual([]);

    const matchingPeer = { ...otherPeer, token: tokenOf("spiffe://test/thief") };
    await expect(send(request(forged), ctx.with(peer, matchingPeer))).resolves.toBeDefined();
    await expect(send(request(inPath), ctx.with(peer, matchingPeer))).resolves.toBeDefined();
  });

  test("creates a token without an audience when the call starts in this process", async () => {
    const { send } = run([updatePath({ name: "first" }), updateToken({ tokens })]);
    const answer = await send(NetworkServiceRequest.create());
    expect(segments(answer)).toEqual([["first", "for nobody", 1]]);
  });

  test("rejects the call when it cannot create a token", async () => {
    const failure = new NsmError(Code.Unavailable, "there is no certificate yet");
    const { request, close } = run([
      updatePath({ name: "hop" }),
      updateToken({
        tokens: () => {
          throw failure;
        },
      }),
    ]);
    await expect(request()).rejects.toBe(failure);
    await expect(close()).rejects.toBe(failure);
  });
});
