import { Code, type NetworkServiceElement } from "../core/index.js";
import { flatten } from "../core/element.js";
import {
  tryElement,
  type ElementContract,
  type ElementSurroundings,
  type ElementTrial,
} from "./element-trial.js";
import { describeChecks, suite, type Check } from "./suite.js";
import { virtualClock } from "./virtual-clock.js";

/**
 * The contract of every Request/Close element, as a test suite. The element must
 * - pass on an error from downstream,
 * - hold nothing after a cancel, a Close, or a first Request that failed on either side of it,
 * - survive a refresh, and a failed refresh,
 * - not change the messages it is given, and keep connections apart.
 *
 * `name` is the element's own name. Every scenario runs twice. `debugState()` reports what the element holds.
 *
 * Works only in vitest test files.
 *
 * @example
 * import { refresh } from "nsm-sdk/elements/refresh";
 * import { describeElement } from "nsm-sdk/testing";
 *
 * describeElement("refresh", ({ until }) => refresh({ until }));
 */
export function describeElement(
  name: string,
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract = {},
): void {
  describeChecks(`${name} as an element`, elementChecks(name, factory, contract));
}

/** The checks of {@link describeElement}, for use on elements that break them. */
export function elementChecks(
  name: string,
  factory: (surroundings: ElementSurroundings) => NetworkServiceElement,
  contract: ElementContract = {},
): readonly Check[] {
  const { expect } = suite();
  const within = (check: (trial: ElementTrial) => Promise<void>) => (): Promise<void> =>
    tryElement(factory, contract, check);

  /** A first Request fails: nothing may be held, and the next Request succeeds. */
  const firstFails = (fail: (trial: ElementTrial) => Promise<void>) =>
    within(async (trial) => {
      await fail(trial);
      await trial.nothingHeld();
      await trial.close(await trial.ask());
    });

  /** A refresh fails: the connection stays established, and a Close releases it. */
  const refreshFails = (
    fail: (trial: ElementTrial, refresh: (signal?: AbortSignal) => Promise<unknown>) => Promise<void>,
  ) =>
    within(async (trial) => {
      const first = await trial.ask();
      await fail(trial, (signal) => trial.again(first, signal));
      expect(await trial.again(first)).toEqual(first);
      await trial.close(first);
    });

  const checks: readonly Check[] = [
    [
      "has the name that the suite was given",
      async () => {
        const program = new AbortController();
        expect(factory({ clock: virtualClock(), until: program.signal }).name).toBe(name);
        program.abort();
      },
    ],

    [
      "lets a Request and its Close through, each once, and holds nothing",
      within(async ({ ask, close, arriving }) => {
        const arrived = await arriving(async () => close(await ask()));
        expect(arrived).toEqual(["request", "close"]);
      }),
    ],

    [
      "passes on what a downstream Request failed with, and holds nothing",
      firstFails(async ({ behind, refused, ask }) => {
        behind.once("request", "rejects", Code.ResourceExhausted);
        await refused(ask(), Code.ResourceExhausted);
      }),
    ],

    [
      "passes on what a downstream Close failed with, and holds nothing",
      within(async ({ behind, refused, ask, close }) => {
        await ask();
        behind.once("close", "rejects", Code.Unavailable);
        await refused(close(), Code.Unavailable);
      }),
    ],

    [
      "honours an abort while the Request is downstream, and holds nothing",
      firstFails(({ cancelHalfway, ask }) => cancelHalfway((signal) => ask({}, signal))),
    ],

    [
      "answers a refresh like the Request before it",
      within(async ({ ask, again, close }) => {
        const first = await ask();
        expect(await ask()).toEqual(first);
        expect(await again(first)).toEqual(first);
        await close();
      }),
    ],

    [
      "keeps a connection whose refresh failed downstream",
      refreshFails(async ({ behind, refused }, refresh) => {
        behind.once("request", "rejects", Code.Unavailable);
        await refused(refresh(), Code.Unavailable);
      }),
    ],

    [
      "keeps a connection whose refresh was canceled halfway",
      refreshFails(({ cancelHalfway }, refresh) => cancelHalfway(refresh)),
    ],

    [
      "keeps connections apart",
      within(async ({ ask, close }) => {
        const one = await ask({ id: "one" });
        const two = await ask({ id: "two" });
        await close(one);
        expect(await ask({ id: "two" })).toEqual(two);
        await close(two);
      }),
    ],
  ];

  // An element outside of begin and connection-state keeps what it holds until the Close, whatever fails.
  const before = contract.before && flatten(contract.before);
  if (before && !before.some((element) => element.name === "connection-state")) return checks;

  return [
    ...checks,
    [
      "holds nothing when an outer element rejects the Request before it arrives",
      firstFails(async ({ outside, refused, ask }) => {
        outside.once("request", "rejects", Code.PermissionDenied);
        await refused(ask(), Code.PermissionDenied);
      }),
    ],

    [
      "holds nothing when the element before it refuses the answer",
      firstFails(async ({ outside, refused, ask }) => {
        outside.once("request", "refuses", Code.PermissionDenied);
        await refused(ask(), Code.PermissionDenied);
      }),
    ],

    [
      "holds nothing when an element outside of connection-state refuses the answer",
      firstFails(async ({ outermost, refused, ask }) => {
        outermost.once("request", "refuses", Code.PermissionDenied);
        await refused(ask(), Code.PermissionDenied);
      }),
    ],

    [
      "keeps a connection whose refresh an outer element rejects",
      refreshFails(async ({ outside, refused }, refresh) => {
        outside.once("request", "rejects", Code.PermissionDenied);
        await refused(refresh(), Code.PermissionDenied);
      }),
    ],

    [
      "keeps a connection when an outer element refuses the answer to its refresh",
      refreshFails(async ({ outside, outermost, refused }, refresh) => {
        for (const outer of [outside, outermost]) {
          outer.once("request", "refuses", Code.PermissionDenied);
          await refused(refresh(), Code.PermissionDenied);
        }
      }),
    ],
  ];
}
