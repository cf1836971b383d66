import { describe, expect, test } from "vitest";
import { patchSegment, Path, PathSegment, toTimestamp, type Connection } from "../../../src/api/index.js";
import {
  Code,
  connectionEvents,
  peer,
  type ConnectionEvents,
  type Context,
  type NetworkServiceElement,
} from "../../../src/core/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { updateToken } from "../../../src/elements/update-token/index.js";
import { insecureTokens } from "../../../src/identity/index.js";
import { hold, run, sampleConnection, type Run } from "../../../src/testing/index.js";

const tokenOf = (subject: string): string => insecureTokens({ subject })(undefined).token;

/** A connection with the path `segments`, each `name/id/token's subject`. The last segment is the caller's. */
function via(...segments: string[]): Connection {
  const pathSegments = segments.map((text) => {
    const [name, id, subject] = text.split("/") as [string, string, string | undefined];
    const token = subject ? tokenOf(subject) : "";
    return PathSegment.create({ name, id, token, expires: toTimestamp(0) });
  });
  const index = pathSegments.length - 1;
  return {
    ...sampleConnection(0, { id: pathSegments[index]!.id }),
    path: Path.create({ index, pathSegments }),
  };
}

/** A call from a peer with a token of that subject. */
const withToken = (ctx: Context, subject: string): Context =>
  ctx.with(peer, {
    address: "10.0.0.1:1",
    local: false,
    token: { token: tokenOf(subject), expires: toTimestamp(0) },
  });

const secret = new Uint8Array(32);

/** A hop. Any process that knows the id of its segment can write it into a path. */
async function hop(
  ...behind: NetworkServiceElement[]
): Promise<Run & { own: string; sendRequest(c: Connection, ctx?: Context): Promise<Connection> }> {
  const chain = run([
    updatePath({ name: "hop", secret }),
    beginServer(),
    updateToken({ tokens: insecureTokens() }),
    ...behind,
  ]);
  const probe = await run([updatePath({ name: "hop", secret })]).send({
    connection: via("client/c"),
    mechanismPreferences: [],
  });
  return {
    ...chain,
    own: probe.path!.pathSegments[1]!.id,
    sendRequest: (connection, ctx) => chain.send({ connection, mechanismPreferences: [] }, ctx),
  };
}

/** The same connection, with the own segment at its end, held by the previous segment. */
const withOwn = (connection: Connection, own: string): Connection => ({
  ...connection,
  path: {
    ...connection.path!,
    pathSegments: [...connection.path!.pathSegments, PathSegment.create({ name: "hop", id: own })],
  },
});

const DENIED = { code: Code.PermissionDenied };

describe("begin/server and the owner of a connection", () => {
  test("lets the owner refresh and close it with new tokens", async () => {
    const { sendRequest, close, ctx, leftovers } = await hop();
    const first = await sendRequest(via("client/c"), withToken(ctx, "spiffe://test/client"));
    await sendRequest(first, withToken(ctx, "spiffe://test/client"));
    await close(first, withToken(ctx, "spiffe://test/client"));
    expect(leftovers()).toEqual({});
  });

  test("lets it heal through other hops", async () => {
    const { sendRequest, close, leftovers } = await hop();
    const first = await sendRequest(via("client/c/spiffe://test/client", "old/o"));
    const own = first.path!.pathSegments[2]!.id;
    const healed = withOwn(via("client/c/spiffe://test/client", "new/n"), own);
    expect((await sendRequest(healed)).path!.pathSegments[2]!.id).toBe(own);
    await close(healed);
    expect(leftovers()).toEqual({});
  });

  test("rejects the Request and the Close of a caller that only knows its id", async () => {
    const { sendRequest, close, own, clock, leftovers } = await hop();
    const first = await sendRequest(via("client/c/spiffe://test/client"));
    const foreign = withOwn(via("stranger/s/spiffe://test/client"), own);
    await expect(sendRequest(foreign)).rejects.toMatchObject({
      ...DENIED,
      message: `connection ${own} belongs to "client", not to this caller`,
    });
    await expect(close(foreign)).rejects.toMatchObject(DENIED);
    await close(first);
    await clock.settle();
    expect(leftovers()).toEqual({});
  });

  test("rejects another identity that knows the whole path", async () => {
    const { sendRequest, close, ctx, own } = await hop();
    await sendRequest(via("client/c"), withToken(ctx, "spiffe://test/client"));
    const stolen = withOwn(via("client/c"), own);
    await expect(sendRequest(stolen, withToken(ctx, "spiffe://test/thief"))).rejects.toMatchObject(DENIED);
    await expect(close(stolen, withToken(ctx, "spiffe://test/thief"))).rejects.toMatchObject(DENIED);
    await close(stolen, withToken(ctx, "spiffe://test/client"));
  });

  test("uses the identity that TLS verified, not the token of the caller", async () => {
    const { sendRequest, close, ctx } = await hop();
    const verified = (id: string, token: string): Context =>
      ctx.with(peer, { ...withToken(ctx, token).get(peer)!, spiffeId: id });
    const client = verified("spiffe://test/client", "spiffe://test/client");
    const first = await sendRequest(via("client/c"), client);
    const stolen = withOwn(via("client/c/spiffe://test/client"), first.path!.pathSegments[1]!.id);
    const thief = verified("spiffe://test/thief", "spiffe://test/client");
    await expect(sendRequest(stolen, thief)).rejects.toMatchObject(DENIED);
    await expect(close(stolen, thief)).rejects.toMatchObject(DENIED);
    await close(stolen, client);
  });

  test("rejects a caller without a path, and a caller that uses this process's name", async () => {
    const { sendRequest, close, own } = await hop();
    const first = await sendRequest(via("client/c"));
    const bare = { ...sampleConnection(0, { id: own }), path: undefined };
    await expect(sendRequest(bare)).rejects.toMatchObject(DENIED);
    await expect(close(bare)).rejects.toMatchObject(DENIED);
    await expect(close(via(`hop/${own}`))).rejects.toMatchObject(DENIED);
    await close(first);
  });

  test("rejects another caller at once, before the connection is established", async () => {
    const gate = hold();
    const { sendRequest, close, own, clock } = await hop(gate);
    const first = sendRequest(via("client/c"));
    await clock.settle();
    const foreign = withOwn(via("stranger/s"), own);
    const request = sendRequest(foreign);
    const closed = close(foreign);
    const refusals = [
      expect(request).rejects.toMatchObject(DENIED),
      expect(closed).rejects.toMatchObject(DENIED),
    ];
    gate.release();
    await Promise.all([first, ...refusals]);
    await close(await first);
  });

  test("continues to heal a connection whose Close was rejected while it was being established", async () => {
    const gate = hold();
    let events!: ConnectionEvents;
    const capture: NetworkServiceElement = {
      name: "capture",
      request: (c, request, next) => ((events = c.get(connectionEvents)!), next.request(c, request)),
    };
    const { sendRequest, close, own, clock } = await hop(capture, gate);
    const first = sendRequest(via("client/c"));
    await clock.settle();
    const refused = expect(close(withOwn(via("stranger/s"), own))).rejects.toMatchObject(DENIED);
    gate.release();
    const connection = await first;
    await refused;
    expect(events.closed.aborted).toBe(false);
    await expect(events.request({ cause: "heal" })).resolves.toBe("done");
    await close(connection);
    expect(events.closed.aborted).toBe(true);
  });

  test("continues to heal a connection that left its hop while the hop's Close waited", async () => {
    const gate = hold();
    gate.release();
    let events!: ConnectionEvents;
    const capture: NetworkServiceElement = {
      name: "capture",
      request: (c, request, next) => ((events = c.get(connectionEvents)!), next.request(c, request)),
    };
    const { sendRequest, close, clock, leftovers } = await hop(capture, gate);
    // The client marks each of its Requests.
    const marked = (connection: Connection, mark: string): Connection =>
      patchSegment(connection, 0, { metrics: { nsm_request: mark } });
    const first = await sendRequest(marked(via("client/c", "old/o"), "r-1"));
    const own = first.path!.pathSegments[2]!.id;
    gate.hold();
    const healed = sendRequest(marked(withOwn(via("client/c", "new/n"), own), "r-2"));
    await clock.settle();
    const closing = close(first);
    await clock.settle();
    gate.release();
    const connection = await healed;
    await closing;
    expect(events.closed.aborted).toBe(false);
    await expect(events.request({ cause: "heal" })).resolves.toBe("done");
    await close(connection);
    expect(events.closed.aborted).toBe(true);
    expect(leftovers()).toEqual({});
  });
});
