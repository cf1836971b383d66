import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Connection, NetworkServiceRequest, Path, PathSegment, pathOf } from "../../src/api/index.js";
import { chain, Code, Context, peer } from "../../src/core/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { describeElement, recorder, run } from "../../src/testing/index.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const segment = (name: string, id = `id-of-${name}`): PathSegment => PathSegment.create({ name, id });
const held = (index: number, ...names: string[]): Connection =>
  Connection.create({
    id: names[index] ? `id-of-${names[index]}` : "",
    path: Path.create({ index, pathSegments: names.map((name) => segment(name)) }),
  });

/** The connection after the element, and the answer to the caller. */
async function through(
  connection: Connection,
  name = "hop",
): Promise<{ arrived: Connection; answer: Connection }> {
  const seen = recorder();
  const { send } = run([updatePath({ name }), seen]);
  const answer = await send(NetworkServiceRequest.create({ connection }));
  return { arrived: seen.requests[0]!.connection!, answer };
}

describeElement("update-path", () => updatePath({ name: "hop" }), { before: [] });

describe("update-path", () => {
  test("starts a path with a random id", async () => {
    const { arrived } = await through(Connection.create());
    const other = await through(Connection.create());
    expect(arrived.id).toMatch(UUID);
    expect(arrived.path).toMatchObject({ index: 0, pathSegments: [{ name: "hop", id: arrived.id }] });
    expect(other.arrived.id).not.toBe(arrived.id);
  });

  test("starts a path with the id of the connection", async () => {
    const { arrived } = await through(Connection.create({ id: "mine" }));
    expect(arrived).toMatchObject({
      id: "mine",
      path: { index: 0, pathSegments: [{ name: "hop", id: "mine" }] },
    });
  });

  test("creates a connection for a request without one", async () => {
    const { send } = run([updatePath({ name: "hop" })]);
    const answer = await send(NetworkServiceRequest.create());
    expect(answer.path?.pathSegments).toHaveLength(1);
  });

  test("uses the id of the current segment if it is its own, whatever the given id", async () => {
    const { arrived, answer } = await through({ ...held(1, "client", "hop"), id: "wrong" });
    expect(arrived).toMatchObject({ id: "id-of-hop", path: { index: 1 } });
    expect(answer).toMatchObject({ id: "id-of-hop", path: { index: 1 } });
  });

  test("appends its segment after the current one, and sets the answer back to the caller's", async () => {
    const { arrived, answer } = await through(held(0, "client"));
    expect(arrived.path).toMatchObject({ index: 1, pathSegments: [{ name: "client" }, { name: "hop" }] });
    expect(arrived.id).toBe(arrived.path?.pathSegments[1]?.id);
    expect(arrived.id).toMatch(UUID);
    expect(answer).toMatchObject({ id: "id-of-client", path: { index: 0 } });
    expect(answer.path?.pathSegments).toHaveLength(2);
  });

  test("keeps the id of its segment if the path has it", async () => {
    const { arrived } = await through(held(0, "client", "hop", "nse"));
    expect(arrived).toMatchObject({ id: "id-of-hop", path: { index: 1 } });
    expect(arrived.path?.pathSegments).toHaveLength(3);
  });

  test("replaces the segment of another process with a new id, and keeps later segments", async () => {
    const { arrived } = await through(held(0, "client", "dead-hop", "nse"));
    const [, own, last] = arrived.path!.pathSegments;
    expect(own).toMatchObject({ name: "hop", token: "", expires: undefined });
    expect(own?.id).toMatch(UUID);
    expect(last).toMatchObject({ name: "nse", id: "id-of-nse" });
  });

  test("rejects an index beyond the end of the path", async () => {
    await expect(through(held(3, "client", "nsmgr"))).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(through({ ...held(1, "client"), id: "" })).rejects.toThrow(
      "path index 1 is beyond the last segment, 0",
    );
  });

  test("rejects a connection whose id differs from its current segment", async () => {
    await expect(through({ ...held(0, "client"), id: "other" })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: `connection id "other" differs from the id of its current path segment, "id-of-client"`,
    });
  });

  test("derives the same id for a caller whose answer was lost", async () => {
    const element = updatePath({ name: "hop" });
    const seen = recorder();
    const { send } = run([element, seen]);
    const request = NetworkServiceRequest.create({ connection: held(0, "client") });
    await send(request);
    await send(request);
    const [first, second] = seen.requests.map(({ connection }) => connection!.id);
    expect(second).toBe(first);
  });

  test("derives that id in a Close too, and another for another caller, name or secret", async () => {
    const secret = new Uint8Array(32).fill(7);
    const idOf = async (connection: Connection, name = "hop", key = secret): Promise<string> => {
      const seen = recorder();
      await run([updatePath({ name, secret: key }), seen]).close(connection);
      return seen.closes[0]!.id;
    };
    const id = await idOf(held(0, "client"));
    const { arrived } = await through(held(0, "client"));
    expect(await idOf(held(0, "client"))).toBe(id);
    expect(arrived.id).not.toBe(id);
    const others = [
      await idOf(held(0, "other")),
      await idOf(held(0, "client"), "hop-2"),
      await idOf(held(0, "client"), "hop", new Uint8Array(32)),
    ];
    expect(new Set([id, ...others]).size).toBe(4);
  });

  test("separates verified callers that chose the same id", async () => {
    const secret = new Uint8Array(32).fill(7);
    const idFor = async (spiffeId: string | undefined): Promise<string> => {
      const seen = recorder();
      const ctx = Context.background().with(peer, { address: "unix", local: true, spiffeId });
      await run([updatePath({ name: "hop", secret }), seen]).close(held(0, "client"), ctx);
      return seen.closes[0]!.id;
    };
    const [one, again] = [await idFor("spiffe://example.org/a"), await idFor("spiffe://example.org/a")];
    expect(again).toBe(one);
    expect(await idFor("spiffe://example.org/b")).not.toBe(one);
    expect(await idFor(undefined)).not.toBe(one);
  });

  test("does not change an answer whose path does not reach the caller's segment", async () => {
    const short = Connection.create({ id: "x", path: held(0, "other").path });
    const { send } = run([updatePath({ name: "hop" })], {
      tail: { request: async () => short, close: async () => {} },
    });
    const request = NetworkServiceRequest.create({ connection: held(1, "client", "nsmgr") });
    expect(await send(request)).toBe(short);
  });

  test("any sequence of server and client chains reaches the end and returns", async () => {
    const ctx = Context.background();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.stringMatching(/^[a-z]{1,3}$/), fc.integer({ min: 1, max: 2 })), {
          minLength: 1,
          maxLength: 8,
        }),
        async (hops) => {
          // A process with a server and a client chain has one segment. Neighbors with one name are one
          // process.
          const names = hops.flatMap(([name, halves]) => Array<string>(halves).fill(name));
          const expected = names.filter((name, i) => name !== names[i - 1]);
          const seen = recorder();
          const updatePaths = chain([...names.map((name) => updatePath({ name })), seen]);
          const first = await updatePaths.request(ctx, NetworkServiceRequest.create());
          const again = await updatePaths.request(ctx, { connection: first, mechanismPreferences: [] });

          for (const { connection } of seen.requests) {
            const { index, pathSegments } = pathOf(connection!);
            expect(pathSegments.map(({ name }) => name)).toEqual(expected);
            expect(index).toBe(expected.length - 1);
            expect(connection!.id).toBe(pathSegments[index]!.id);
          }
          expect(again).toEqual(first);
          expect(first).toMatchObject({ id: first.path!.pathSegments[0]!.id, path: { index: 0 } });
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });
});
