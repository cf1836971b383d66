import { describe, expect, test } from "vitest";
import { Code, Slot, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { registrationState } from "../../src/registry/elements/registration-state/index.js";
import { failAfter, failOnce, run, runRegistry } from "../../src/testing/index.js";

/** Counts the Requests of each connection in a slot, and returns the count in the endpoint's name. */
function counting(): NetworkServiceElement {
  const count = new Slot<number>("count");
  return {
    name: "counting",
    inside: ["connection-state"],
    async request(ctx, request, next) {
      count.set(ctx, (count.get(ctx) ?? 0) + 1);
      const response = await next.request(ctx, request);
      return { ...response, networkServiceEndpointName: String(count.get(ctx)) };
    },
  };
}

describe("connection-state", () => {
  test("keeps a value across the calls of one connection, separate from others", async () => {
    const { request } = run([connectionState(), counting()]);
    const counts = [];
    for (const id of ["a", "b", "a", "a"]) counts.push((await request({ id })).networkServiceEndpointName);
    expect(counts).toEqual(["1", "1", "2", "3"]);
  });

  test("does not mix the slots of two elements of the same kind", async () => {
    const { request } = run([connectionState(), counting(), counting()]);
    expect(await request()).toMatchObject({ networkServiceEndpointName: "1" });
  });

  test("forgets a connection after its Close, which can still read the values", async () => {
    const slot = new Slot<string>("word");
    const found: unknown[] = [];
    const { request, close, leftovers } = run([
      connectionState(),
      {
        name: "remembering",
        request: (ctx, r, next) => (slot.set(ctx, "hello"), next.request(ctx, r)),
        close: async (ctx) => void found.push(slot.take(ctx), slot.take(ctx)),
      },
    ]);
    await request();
    expect(leftovers()).toEqual({ "connection-state": { connections: 1 } });
    await close();
    await close();
    expect(found).toEqual(["hello", undefined, undefined, undefined]);
    expect(leftovers()).toEqual({});
  });

  test("forgets a connection whose Close fails", async () => {
    const { request, close, leftovers } = run([connectionState(), failOnce(Code.Unavailable, "close")]);
    await request();
    await expect(close()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(leftovers()).toEqual({});
  });

  test("keeps nothing of a failed first Request, and everything when a refresh fails", async () => {
    const first = run([connectionState(), counting(), failOnce(Code.Unavailable)]);
    await expect(first.request()).rejects.toThrow();
    expect(first.leftovers()).toEqual({});
    expect(await first.request()).toMatchObject({ networkServiceEndpointName: "1" });

    const later = run([connectionState(), counting(), failAfter(1, Code.Unavailable)]);
    await later.request();
    await expect(later.request()).rejects.toThrow();
    expect(later.leftovers()).toEqual({ "connection-state": { connections: 1 } });
  });

  test("shares the values of a server with the client chain inside it", async () => {
    const slot = new Slot<string>("word");
    const found: unknown[] = [];
    const { request, close, leftovers } = run([
      connectionState(),
      { name: "saying", request: (ctx, r, next) => (slot.set(ctx, "hello"), next.request(ctx, r)) },
      // The client chain's connection has another id, but uses the same entry.
      {
        name: "renaming",
        request: (ctx, r, next) => next.request(ctx, { ...r, connection: { ...r.connection!, id: "x" } }),
      },
      connectionState(),
      { name: "hearing", request: (ctx, r, next) => (found.push(slot.get(ctx)), next.request(ctx, r)) },
    ]);
    const connection = await request({ id: "a" });
    expect(found).toEqual(["hello"]);
    expect(leftovers()).toEqual({ "connection-state": { connections: 1 } });
    await close({ ...connection, id: "a" });
    expect(leftovers()).toEqual({});
  });

  test("is required by an element with a slot, which fails with a clear error without it", async () => {
    const slot = new Slot<string>("word");
    const { request } = run([
      { name: "a", request: async (ctx, r, next) => (slot.get(ctx), next.request(ctx, r)) },
    ]);
    await expect(request()).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: `slot "word" has no state: put connectionState() or registrationState() before it in the chain`,
    });
  });
});

test("registration-state keeps values by the entry's name", async () => {
  const slot = new Slot<number>("count");
  const counts: unknown[] = [];
  const { register, unregister, leftovers } = runRegistry([
    registrationState(),
    {
      name: "counting",
      register(ctx, entry, next) {
        slot.set(ctx, (slot.get(ctx) ?? 0) + 1);
        return next.register(ctx, entry);
      },
      unregister: async (ctx) => void counts.push(slot.get(ctx)),
    },
    failAfter(3, Code.Unavailable, "register"),
  ]);
  await register();
  await register();
  const other = await register({ name: "other" });
  await expect(register({ name: "third" })).rejects.toThrow();
  expect(leftovers()).toEqual({ "registration-state": { registrations: 2 } });
  await unregister(other);
  await unregister({ ...other, name: "nse" });
  expect(counts).toEqual([1, 2]);
  expect(leftovers()).toEqual({});
});
