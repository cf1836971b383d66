import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { State } from "../../src/api/index.js";
import {
  Code,
  connectionEvents,
  Context,
  tryEach,
  LiveConnections,
  NsmError,
  replaceable,
  sleep,
  Slot,
  TimerSlot,
  type ConnectionEvents,
  type NetworkServiceElement,
} from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginClient, beginServer } from "../../src/elements/begin/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { run, sampleConnection, virtualClock } from "../../src/testing/index.js";

/** Seeded random events. `calm` turns them off. */
function randomSource(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const self = {
    calm: false,
    /** Whether an event with this probability happens. */
    happens: (chance: number): boolean => next() < chance && !self.calm,
    below: (n: number): number => Math.floor(next() * n),
  };
  return self;
}

type RandomSource = ReturnType<typeof randomSource>;

/** All values that were set in slots, and how often each was released. */
class SlotRecord {
  private readonly all: { readonly id: string; readonly what: string; released: number }[] = [];

  take(id: string, what: string): number {
    return this.all.push({ id, what, released: 0 }) - 1;
  }

  release(value: number): void {
    this.all[value]!.released++;
  }

  /** The values that were released more than once. */
  get twice(): readonly unknown[] {
    return this.all.filter(({ released }) => released > 1);
  }

  /** The values held for connections other than these. */
  heldBeside(ids: ReadonlySet<string>): readonly unknown[] {
    return this.all.filter(({ id, released }) => released === 0 && !ids.has(id));
  }
}

const refuse = (where: string): never => {
  throw new NsmError(Code.Unavailable, `refused by ${where}`);
};

/** Waits at random. */
async function waitAtRandom({ clock, signal }: Context, random: RandomSource): Promise<void> {
  if (random.happens(0.3)) await sleep(clock, 1 + random.below(40), signal);
}

/** Sets one value per connection, and at random another. */
function holder(name: string, record: SlotRecord, random: RandomSource): NetworkServiceElement {
  const mayAdopt = random.happens(0.5);
  const slot = new Slot<number>(name, {
    async release(value, { clock }) {
      // A release has its own time limit and may exceed it.
      if (random.happens(0.2)) await sleep(clock, 1 + random.below(60));
      record.release(value);
      if (random.happens(0.1)) refuse(`the release of ${name}`);
    },
    ...(mayAdopt && {
      adopt: (value: number) => (random.happens(0.3) ? undefined : value),
      abandon: () => {},
    }),
  });
  const set = (ctx: Context, id: string): void => slot.set(ctx, record.take(id, name));
  return {
    name,
    inside: ["connection-state"],
    provides: [slot],
    async request(ctx, request, next) {
      const { id } = request.connection!;
      const known = slot.get(ctx);
      if (known === undefined || random.happens(0.2)) set(ctx, id);
      if (known !== undefined && random.happens(0.1)) slot.set(ctx, known);
      if (random.happens(0.05)) {
        const taken = slot.take(ctx);
        if (taken !== undefined) record.release(taken);
      }
      await waitAtRandom(ctx, random);
      if (random.happens(0.1)) refuse(`${name} before`);
      const response = await next.request(ctx, request);
      if (random.happens(0.1)) refuse(`${name} after`);
      // The rest of a call may run after the end of the call and the connection.
      if (random.happens(0.1)) ctx.clock.after(random.below(100), () => set(ctx, id));
      return response;
    },
    async close(ctx, connection, next) {
      if (random.happens(0.1)) set(ctx, connection.id);
      await waitAtRandom(ctx, random);
      if (random.happens(0.1)) refuse(`${name} at the close`);
      await next.close(ctx, connection);
    },
  };
}

/** Rejects and waits between begin and connection-state, and checks that calls do not overlap. */
function overlapCheck(random: RandomSource, overlaps: string[]): NetworkServiceElement {
  const busy = new Set<string>();
  const alone = async <R>(id: string, work: () => Promise<R>): Promise<R> => {
    if (busy.has(id)) overlaps.push(id);
    busy.add(id);
    try {
      return await work();
    } finally {
      busy.delete(id);
    }
  };
  return {
    name: "overlap-check",
    request: (ctx, request, next) =>
      alone(request.connection!.id, async () => {
        if (random.happens(0.1)) refuse("the gate before");
        const response = await next.request(ctx, request);
        await waitAtRandom(ctx, random);
        if (random.happens(0.1)) refuse("the gate after");
        return response;
      }),
    close: (ctx, connection, next) =>
      // Also within a Request of a begin/server that closes first.
      alone(connection.id, async () => {
        if (random.happens(0.1)) refuse("the gate at the close");
        await next.close(ctx, connection);
      }),
  };
}

/** Tries several times, and starts Requests on its own. */
function retrying(random: RandomSource, seen: Map<string, ConnectionEvents>): NetworkServiceElement {
  const timer = new TimerSlot("retrying");
  return {
    name: "retrying",
    inside: ["begin", "connection-state"],
    provides: [timer.slot],
    debugState: () => ({ timers: timer.size }),
    async request(ctx, request, next) {
      const events = ctx.get(connectionEvents)!;
      seen.set(request.connection!.id, events);
      const tries = [...Array(1 + random.below(3)).keys()];
      const response = await tryEach(
        ctx,
        tries,
        (_try, c) => next.request(c, request),
        () => "no try worked",
      );
      if (random.happens(0.3)) timer.arm(ctx, 1 + random.below(200), (signal) => events.request({ signal }));
      return response;
    },
  };
}

const step = fc.record({
  what: fc.constantFrom("request", "request", "close", "again", "reselect", "end", "replace", "all", "wait"),
  id: fc.constantFrom("a", "b", "c"),
  ms: fc.integer({ min: 0, max: 80 }),
  patience: fc.constantFrom(0, 5, 30, 1_000),
});

describe.each([
  ["begin/server", beginServer],
  ["begin/client", beginClient],
])("%s, connection-state and replaceable elements", (_name, begin) => {
  test("release every value exactly once and never overlap, for any interleaving of calls", async () => {
    const property = fc.asyncProperty(
      fc.integer(),
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (seed, steps) => {
        const random = randomSource(seed);
        const [record, live, clock] = [new SlotRecord(), new LiveConnections(), virtualClock()];
        const overlaps: string[] = [];
        const events = new Map<string, ConnectionEvents>();
        const state = connectionState();
        const around = [
          updatePath({ name: "hop", secret: new Uint8Array(32) }),
          begin({ live }),
          overlapCheck(random, overlaps),
          state,
          retrying(random, events),
          holder("outer", record, random),
        ];
        const inner = () => [
          holder("x", record, random),
          random.happens(0.5) ? [] : [holder("y", record, random)],
        ];
        const own = replaceable(inner(), { state, around });
        const { request, close, leftovers, ctx } = run([around, own.element], { clock });

        const ids = new Map<string, string>();
        const underWay = new Set<Promise<unknown>>();
        const start = (work: Promise<unknown>): void => {
          const done = work.catch(() => {}).finally(() => underWay.delete(done));
          underWay.add(done);
        };
        const pick = (id: string): ConnectionEvents | undefined => events.get(ids.get(id) ?? "");
        for (const { what, id, ms, patience } of steps) {
          const within = <R>(work: (c: Context) => Promise<R>): Promise<R> => ctx.withTimeout(patience, work);
          switch (what) {
            case "request":
              start(
                within(async (c) => {
                  const chosen = random.happens(0.2) ? State.RESELECT_REQUESTED : State.UP;
                  ids.set(id, (await request({ id, state: chosen }, c)).path!.pathSegments[1]!.id);
                }),
              );
              break;
            case "close":
              start(within((c) => close(sampleConnection(clock.now(), { id }), c)));
              break;
            case "again":
              start(pick(id)?.request({ cause: "refresh" }) ?? Promise.resolve());
              break;
            case "reselect":
              start(pick(id)?.request({ cause: "heal", reselect: true }) ?? Promise.resolve());
              break;
            case "end":
              start(pick(id)?.close({ cause: "timeout" }) ?? Promise.resolve());
              break;
            case "replace":
              if (random.happens(0.3))
                expect(() => own.replace([{ name: "lost", inside: ["dial"] }])).toThrow();
              else own.replace(inner());
              break;
            case "all":
              start(live.requestAll());
              break;
            case "wait":
              await clock.advance(ms);
          }
        }

        random.calm = true;
        await clock.advance(5_000);
        expect(underWay.size).toBe(0);
        const standing = new Set([...live].map(([standingId]) => standingId));
        expect(record.heldBeside(standing)).toEqual([]);

        for (const id of ["a", "b", "c"]) await close(sampleConnection(clock.now(), { id }));
        await clock.settle();
        expect(record.heldBeside(new Set())).toEqual([]);
        expect(record.twice).toEqual([]);
        expect(overlaps).toEqual([]);
        expect(own.debugState()).toEqual({});
        expect(leftovers()).toEqual({});
      },
    );
    await fc.assert(property, { seed: 20_301, numRuns: 100 });
  });
});
