import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Connection, ConnectionEvent, ConnectionEventType, State } from "../../src/api/index.js";
import { ReaderQueue, type QueueRules } from "../../src/inbound/reader-queue.js";
import { connectionEvents } from "../../src/inbound/stream-rules.js";

interface Word {
  readonly name: string | undefined;
  readonly gone: boolean;
  readonly text: number;
}

const words: QueueRules<Word> = { key: ({ name }) => name, gone: ({ gone }) => gone };

function drain<T>(queue: ReaderQueue<T>): T[] {
  const all: T[] = [];
  while (queue.size > 0) all.push(queue.take()!);
  return all;
}

/** How often `work` walks through a map, or moves the rest of an array. */
function countingSearches(work: () => void): number {
  let count = 0;
  const restore = (
    [
      [Map.prototype, [Symbol.iterator, "entries", "keys", "values", "forEach"]],
      [Array.prototype, ["shift", "splice"]],
    ] as const
  ).flatMap(([prototype, methods]) =>
    methods.map((method) => {
      const original = Object.getOwnPropertyDescriptor(prototype, method)!;
      const value = function (this: unknown, ...args: unknown[]): unknown {
        count++;
        return (original.value as (...args: unknown[]) => unknown).apply(this, args);
      };
      Object.defineProperty(prototype, method, { ...original, value });
      return () => Object.defineProperty(prototype, method, original);
    }),
  );
  try {
    work();
  } finally {
    restore.forEach((undo) => undo());
  }
  return count;
}

describe("what waits for a reader", () => {
  const queueOf = (...given: readonly Word[]): Word[] => {
    const queue = new ReaderQueue(words);
    given.forEach((word) => queue.push(word));
    return drain(queue);
  };
  const here = (name: string, text = 0): Word => ({ name, text, gone: false });
  const gone = (name: string, text = 0): Word => ({ name, text, gone: true });

  test("comes in order", () => {
    expect(queueOf(here("a"), here("b"), here("c"))).toEqual([here("a"), here("b"), here("c")]);
  });

  test("is only the latest message of each key, in the place of the previous one", () => {
    expect(queueOf(here("a", 1), here("b"), here("a", 2), here("a", 3))).toEqual([here("a", 3), here("b")]);
  });

  test("replaces here by gone", () => {
    expect(queueOf(here("a"), gone("a"))).toEqual([gone("a")]);
  });

  test("keeps gone before a new here", () => {
    expect(queueOf(gone("a"), here("a", 1), here("a", 2))).toEqual([gone("a"), here("a", 2)]);
  });

  test("does not grow with a key that comes and goes", () => {
    expect(queueOf(gone("a", 1), here("a", 2), gone("a", 3), here("a", 4), gone("a", 5))).toEqual([
      gone("a", 5),
    ]);
    expect(queueOf(gone("a", 1), here("a", 2), gone("a", 3), here("a", 4))).toEqual([
      gone("a", 3),
      here("a", 4),
    ]);
  });

  test("is never passed by what comes behind something without a key", () => {
    const mark: Word = { name: undefined, gone: false, text: 0 };
    expect(queueOf(here("a", 1), mark, here("a", 2), here("a", 3))).toEqual([
      here("a", 1),
      mark,
      here("a", 3),
    ]);
  });

  test("does not replace what is taken already", () => {
    const queue = new ReaderQueue(words);
    queue.push(here("a", 1));
    expect(queue.take()).toEqual(here("a", 1));
    queue.push(here("a", 2));
    expect(drain(queue)).toEqual([here("a", 2)]);
    expect(queue.take()).toBeUndefined();
  });

  test("is taken from where it stands, however much waits: nothing is searched or moved", () => {
    const queue = new ReaderQueue(words);
    for (let i = 0; i < 1_000; i++) queue.push(here(`name-${i}`, i));
    for (let i = 0; i < 500; i++) queue.push(gone(`name-${2 * i}`, i));
    let taken = 0;
    const searches = countingSearches(() => {
      while (queue.take()) taken++;
    });
    expect(taken).toBe(1_000);
    expect(searches).toBe(0);
  });

  test("ends with the latest message of each key, keeps every gone, and stays small", () => {
    const word = fc.record({ name: fc.constantFrom("a", "b", "c"), gone: fc.boolean(), text: fc.nat() });
    fc.assert(
      fc.property(fc.array(word), (given) => {
        const taken = queueOf(...given);
        expect(taken.length).toBeLessThanOrEqual(2 * 3);
        for (const name of ["a", "b", "c"]) {
          const about = given.filter((one) => one.name === name);
          const delivered = taken.filter((one) => one.name === name);
          expect(delivered.at(-1)).toEqual(about.at(-1));
          expect(delivered.some((one) => one.gone)).toBe(about.some((one) => one.gone));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("connection events that wait for a reader", () => {
  const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;
  const event = (type: ConnectionEventType, ...ids: string[]): ConnectionEvent =>
    ConnectionEvent.create({ type, connections: Object.fromEntries(ids.map((id) => [id, { id }])) });
  const queueOf = (...given: readonly ConnectionEvent[]): string[] => {
    const queue = new ReaderQueue(connectionEvents);
    given.forEach((one) => queue.push(one));
    return drain(queue).map(({ type, connections }) => `${type} ${Object.keys(connections).join()}`);
  };

  test("go out several in one message", () => {
    expect(queueOf(event(UPDATE, "a"), event(UPDATE, "b"), event(DELETE, "c"), event(UPDATE, "d"))).toEqual([
      `${UPDATE} a,b`,
      `${DELETE} c`,
      `${UPDATE} d`,
    ]);
  });

  test("keep the latest of each connection", () => {
    const queue = new ReaderQueue(connectionEvents);
    const eventWith = (state: State): ConnectionEvent =>
      ConnectionEvent.create({ type: UPDATE, connections: { a: Connection.create({ id: "a", state }) } });
    queue.push(eventWith(State.DOWN));
    queue.push(event(UPDATE, "b"));
    queue.push(eventWith(State.UP));
    const [only, ...more] = drain(queue);
    expect(more).toEqual([]);
    expect(only?.connections["a"]?.state).toBe(State.UP);
  });

  test("keep a DELETE before the connection is there again", () => {
    expect(queueOf(event(UPDATE, "a"), event(DELETE, "a"), event(UPDATE, "a"))).toEqual([
      `${DELETE} a`,
      `${UPDATE} a`,
    ]);
  });

  test("keep the initial set first, and an empty one is kept too", () => {
    expect(queueOf(event(INITIAL_STATE_TRANSFER), event(UPDATE, "a"))).toEqual([
      `${INITIAL_STATE_TRANSFER} `,
      `${UPDATE} a`,
    ]);
  });

  test("are split when one message has several, so that each can be replaced", () => {
    expect(queueOf(event(UPDATE, "a", "b", "c"), event(DELETE, "b"))).toEqual([
      `${UPDATE} a`,
      `${DELETE} b`,
      `${UPDATE} c`,
    ]);
  });

  test("that are empty are not sent", () => {
    expect(queueOf(event(UPDATE))).toEqual([]);
  });

  test("of a large initial set go out in messages of a hundred, and one of nothing at its end", () => {
    const ids = Array.from({ length: 250 }, (_, i) => `c${i}`);
    const queue = new ReaderQueue(connectionEvents);
    queue.push(event(INITIAL_STATE_TRANSFER, ...ids));
    const pieces = drain(queue);
    expect(pieces.map(({ type }) => type)).toEqual([INITIAL_STATE_TRANSFER, UPDATE, UPDATE, UPDATE]);
    expect(pieces.map(({ connections }) => Object.keys(connections).length)).toEqual([100, 100, 50, 0]);
    expect(pieces.flatMap(({ connections }) => Object.keys(connections))).toEqual(ids);
  });
});
