import { Code, type ChainElement, type EndpointRegistry } from "../core/index.js";
import type { ElementSurroundings } from "./element-trial.js";
import { tryRegistryElement, type RegistryElementContract, type RegistryTrial } from "./registry-trial.js";
import { describeChecks, suite, type Check } from "./suite.js";
import { virtualClock } from "./virtual-clock.js";

/**
 * The contract of every registry element, as a test suite. It uses the endpoint registry. Every scenario runs
 * twice. Works only in vitest test files.
 *
 * @example
 * import { expire } from "nsm-sdk/registry/elements/expire";
 * import { describeRegistryElement } from "nsm-sdk/testing";
 *
 * describeRegistryElement("expire", ({ until }) => expire({ until }));
 */
export function describeRegistryElement(
  name: string,
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract = {},
): void {
  describeChecks(`${name} as a registry element`, registryElementChecks(name, factory, contract));
}

/** The checks of {@link describeRegistryElement}, for use on elements that break them. */
export function registryElementChecks(
  name: string,
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract = {},
): readonly Check[] {
  const { expect } = suite();
  const within = (check: (trial: RegistryTrial) => Promise<void>) => (): Promise<void> =>
    tryRegistryElement(factory, contract, check);

  /** A first Register fails: nothing may be held, and the next one succeeds. */
  const firstFails = (fail: (trial: RegistryTrial) => Promise<void>) =>
    within(async (trial) => {
      await fail(trial);
      await trial.nothingHeld();
      await trial.unregister(await trial.register());
    });

  /** A refresh fails: the registration stays, and an Unregister releases it. */
  const refreshFails = (fail: (trial: RegistryTrial) => Promise<void>) =>
    within(async (trial) => {
      const first = await trial.register();
      await fail(trial);
      expect(await trial.register()).toEqual(first);
      await trial.unregister(first);
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
      "lets a Register and its Unregister through, each once, and holds nothing",
      within(async ({ register, unregister, arriving }) => {
        const arrived = await arriving(async () => unregister(await register()));
        expect(arrived.filter((method) => method !== "find")).toEqual(["register", "unregister"]);
      }),
    ],

    [
      "passes on what a Register behind it failed with, and holds nothing",
      firstFails(async ({ behind, refused, register }) => {
        behind.once("register", "rejects", Code.ResourceExhausted);
        await refused(register(), Code.ResourceExhausted);
      }),
    ],

    [
      "passes on what an Unregister behind it failed with, and holds nothing",
      within(async ({ behind, refused, register, unregister }) => {
        await register();
        behind.once("unregister", "rejects", Code.Unavailable);
        await refused(unregister(), Code.Unavailable);
      }),
    ],

    [
      "passes on what a Find behind it failed with",
      within(async ({ behind, refused, find }) => {
        behind.once("find", "rejects", Code.Unavailable);
        await refused(find(), Code.Unavailable);
      }),
    ],

    [
      "honours an abort while the Register is downstream, and holds nothing",
      firstFails(({ cancelHalfway }) => cancelHalfway()),
    ],

    [
      "answers a refresh like the Register before it",
      within(async ({ register, unregister }) => {
        const first = await register();
        expect(await register()).toEqual(first);
        await unregister();
      }),
    ],

    [
      "keeps an entry whose refresh failed behind it",
      refreshFails(async ({ behind, refused, register }) => {
        behind.once("register", "rejects", Code.Unavailable);
        await refused(register(), Code.Unavailable);
      }),
    ],

    [
      "keeps an entry whose refresh was canceled halfway",
      refreshFails(({ cancelHalfway }) => cancelHalfway()),
    ],
  ];

  if (!releasesAlone(factory)) return checks;

  return [
    ...checks,
    [
      "holds nothing when an outer element rejects the Register before it arrives",
      firstFails(async ({ outside, refused, register }) => {
        outside.once("register", "rejects", Code.PermissionDenied);
        await refused(register(), Code.PermissionDenied);
      }),
    ],

    [
      "holds nothing when the element before it refuses the answer",
      firstFails(async ({ outside, refused, register }) => {
        outside.once("register", "refuses", Code.PermissionDenied);
        await refused(register(), Code.PermissionDenied);
      }),
    ],

    [
      "keeps an entry when an outer element refuses the answer to its refresh",
      refreshFails(async ({ outside, refused, register }) => {
        for (const how of ["rejects", "refuses"] as const) {
          outside.once("register", how, Code.PermissionDenied);
          await refused(register(), Code.PermissionDenied);
        }
      }),
    ],
  ];
}

/**
 * Whether an element learns through its slots that an outer element refused its answer. An element without
 * slots, such as a store, keeps what it holds until the Unregister or until the entry expires.
 */
function releasesAlone(
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
): boolean {
  const program = new AbortController();
  const { inside = [] } = factory({ clock: virtualClock(), until: program.signal });
  program.abort();
  return inside.includes("registration-state");
}
