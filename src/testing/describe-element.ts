import type { Connection, NetworkServiceRequest } from "../api/index.js";
import {
  Code,
  connectionState,
  Context,
  NsmError,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../core/index.js";
import { beginServer } from "../elements/begin/index.js";
import { updatePath } from "../elements/update-path/index.js";
import { sampleRequest } from "./messages.js";
import { failAfter, failOnce, hold, recorder } from "./probes.js";
import { run, type Run } from "./run.js";
import { describeChecks, refusedWith, suite, type Check } from "./suite.js";
import { virtualClock, type VirtualClock } from "./virtual-clock.js";

/** What a factory may need to make an element for one test. */
export interface ElementSurroundings {
  readonly clock: VirtualClock;
  /** The life of the program the element is in; over when the test is. */
  readonly until: AbortSignal;
}

/** How an element is tried. */
export interface ElementContract {
  /** What stands before it; update-path, begin and connection-state of a server when left out. */
  readonly before?: Elements<NetworkService>;
  /** What stands behind it: something it needs to see in an answer, say. */
  readonly behind?: Elements<NetworkService>;
  /** The Request it is tried with, made from the sample. */
  readonly request?: (sample: NetworkServiceRequest) => NetworkServiceRequest;
  /** The Context it is called in: keys it reads. */
  readonly ctx?: (ctx: Context) => Context;
  /** For one that throws an error of its own with the same code and the first one as `cause`. */
  readonly wrapsErrors?: boolean;
}

/** How the suite calls the chain. */
interface Asking {
  ask(patch?: Partial<Connection>, signal?: AbortSignal): Promise<Connection>;
  /** A refresh as a caller sends it: with what it was given. */
  again(connection: Connection): Promise<Connection>;
}

/**
 * The contract of every element of the Request/Close chain, as a suite: it passes a downstream error on, holds
 * nothing after a failed first Request, a cancel or a Close, survives a refresh and a refresh that fails,
 * changes no message it was given and keeps connections apart. `name` is the element's own.
 *
 * Only in vitest test files.
 *
 * @example
 * describeElement("my-element", ({ until }) => myElement({ until }));
 */
export function describeElement(
  name: string,
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract = {},
): void {
  describeChecks(`${name} as an element`, elementChecks(name, factory, contract));
}

/** The checks of {@link describeElement}, to be tried on elements that break them. */
export function elementChecks(
  name: string,
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract = {},
): readonly Check[] {
  const { expect } = suite();
  const { behind = [], request: prepare = (sample) => sample, ctx: enrich = (ctx) => ctx } = contract;

  /** Runs one test in a program of its own and ends with nothing left. */
  const within =
    (probes: Elements<NetworkService>, check: (chain: Run & Asking) => Promise<void>) =>
    async (): Promise<void> => {
      const clock = virtualClock();
      const program = new AbortController();
      const before = contract.before ?? [updatePath({ name: "hop" }), beginServer(), connectionState()];
      const element = factory({ clock, until: program.signal });
      const ctx = enrich(Context.background({ clock }));
      const chain = run([before, element, behind, probes], { clock, ctx });
      const ask = (patch: Partial<Connection> = {}, signal?: AbortSignal): Promise<Connection> => {
        const request = prepare(sampleRequest(clock.now(), patch));
        return signal ? ctx.withSignal(signal, (c) => chain.send(request, c)) : chain.send(request, ctx);
      };
      const again = (connection: Connection): Promise<Connection> =>
        chain.send({ ...prepare(sampleRequest(clock.now())), connection });
      try {
        await check({ ...chain, ask, again });
        await clock.settle();
        expect(chain.leftovers(), "what is left behind").toEqual({});
      } finally {
        program.abort();
      }
    };

  const refused = (call: Promise<unknown>, code: Code): Promise<void> =>
    refusedWith(call, code, contract.wrapsErrors ?? false);
  const seen = recorder();
  return [
    [
      "is called what its folder is called",
      async () => {
        const program = new AbortController();
        expect(factory({ clock: virtualClock(), until: program.signal }).name).toBe(name);
        program.abort();
      },
    ],

    [
      "passes on what a downstream Request failed with, and holds nothing",
      within([failOnce(Code.ResourceExhausted)], async ({ ask }) => {
        await refused(ask(), Code.ResourceExhausted);
      }),
    ],

    [
      "passes on what a downstream Close failed with, and holds nothing",
      within([failOnce(Code.Unavailable, "close")], async ({ ask, close }) => {
        await ask();
        await refused(close(), Code.Unavailable);
      }),
    ],

    [
      "lets a Request and its Close through, each once, and holds nothing",
      within([seen], async ({ ask, close }) => {
        await ask();
        await close();
        expect(seen.calls).toEqual(["request", "close"]);
      }),
    ],

    [
      "answers a refresh like the Request before it",
      within([], async ({ ask, again, close }) => {
        const first = await ask();
        expect(await ask()).toEqual(first);
        expect(await again(first)).toEqual(first);
        await close();
      }),
    ],

    [
      "keeps a connection whose refresh failed",
      within([failAfter(1, Code.Unavailable)], async ({ ask, again, close }) => {
        const first = await ask();
        await refused(again(first), Code.Unavailable);
        await close(first);
      }),
    ],

    [
      "honours an abort, and holds nothing",
      within([hold()], async ({ ask, clock }) => {
        const caller = new AbortController();
        const call = ask({}, caller.signal);
        // Whoever rejects early must not be taken for an unhandled rejection.
        call.catch(() => {});
        await clock.settle();
        caller.abort(new NsmError(Code.Cancelled, "the caller went away"));
        await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
      }),
    ],

    [
      "keeps connections apart",
      within([], async ({ ask, close }) => {
        const one = await ask({ id: "one" });
        const two = await ask({ id: "two" });
        await close(one);
        expect(await ask({ id: "two" })).toEqual(two);
        await close(two);
      }),
    ],
  ];
}
