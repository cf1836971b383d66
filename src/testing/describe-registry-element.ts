import {
  Code,
  Context,
  NsmError,
  registrationState,
  type ChainElement,
  type Elements,
  type EndpointRegistry,
} from "../core/index.js";
import type { NetworkServiceEndpoint } from "../api/index.js";
import type { ElementSurroundings } from "./describe-element.js";
import { failAfter, failOnce, hold, recorder } from "./probes.js";
import { runRegistry, type RegistryRun } from "./run.js";
import { describeChecks, refusedWith, suite, type Check } from "./suite.js";
import { virtualClock } from "./virtual-clock.js";

/** How a registry element is tried. */
export interface RegistryElementContract {
  /** What stands before it; registration-state when left out. */
  readonly before?: Elements<EndpointRegistry>;
  /** What stands behind it. */
  readonly behind?: Elements<EndpointRegistry>;
  /** The endpoint it is tried with: a patch of the sample. */
  readonly entry?: Partial<NetworkServiceEndpoint>;
  /** The Context it is called in: keys it reads. */
  readonly ctx?: (ctx: Context) => Context;
  /** For one that throws an error of its own with the same code and the first one as `cause`. */
  readonly wrapsErrors?: boolean;
}

/**
 * The contract of every element of a registry's chain, as a suite; it is tried in the registry of endpoints.
 * Only in vitest test files.
 *
 * @example
 * describeRegistryElement("expire", () => expire({ maxMs: 60_000 }));
 */
export function describeRegistryElement(
  name: string,
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract = {},
): void {
  describeChecks(`${name} as a registry element`, registryElementChecks(name, factory, contract));
}

/** The checks of {@link describeRegistryElement}, to be tried on elements that break them. */
export function registryElementChecks(
  name: string,
  factory: (surroundings: ElementSurroundings) => ChainElement<EndpointRegistry>,
  contract: RegistryElementContract = {},
): readonly Check[] {
  const { expect } = suite();
  const { behind = [], entry = {}, ctx: enrich = (ctx) => ctx } = contract;

  const within =
    (probes: Elements<EndpointRegistry>, check: (chain: RegistryRun) => Promise<void>) =>
    async (): Promise<void> => {
      const clock = virtualClock();
      const program = new AbortController();
      const before = contract.before ?? [registrationState()];
      const element = factory({ clock, until: program.signal });
      const ctx = enrich(Context.background({ clock }));
      const chain = runRegistry([before, element, behind, probes], {
        clock,
        ctx,
      });
      const register: RegistryRun["register"] = (patch, c) => chain.register({ ...entry, ...patch }, c);
      try {
        await check({ ...chain, register });
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
      "passes on what a Register behind it failed with, and holds nothing",
      within([failOnce(Code.ResourceExhausted, "register")], async ({ register }) => {
        await refused(register(), Code.ResourceExhausted);
      }),
    ],

    [
      "passes on what an Unregister behind it failed with, and holds nothing",
      within([failOnce(Code.Unavailable, "unregister")], async ({ register, unregister }) => {
        await register();
        await refused(unregister(), Code.Unavailable);
      }),
    ],

    [
      "passes on what a Find behind it failed with",
      within([failOnce(Code.Unavailable, "find")], async ({ find }) => {
        await refused(find(), Code.Unavailable);
      }),
    ],

    [
      "lets a Register and its Unregister through, each once, and holds nothing",
      within([seen], async ({ register, unregister }) => {
        await register();
        await unregister();
        expect(seen.calls.filter((method) => method !== "find")).toEqual(["register", "unregister"]);
      }),
    ],

    [
      "answers a refresh like the Register before it",
      within([], async ({ register, unregister }) => {
        const first = await register();
        expect(await register()).toEqual(first);
        await unregister();
      }),
    ],

    [
      "keeps an entry whose refresh failed",
      within([failAfter(1, Code.Unavailable, "register")], async ({ register, unregister }) => {
        const first = await register();
        await refused(register(), Code.Unavailable);
        await unregister(first);
      }),
    ],

    [
      "honours an abort, and holds nothing",
      within([hold()], async ({ register, ctx, clock }) => {
        const caller = new AbortController();
        const call = ctx.withSignal(caller.signal, (c) => register({}, c));
        call.catch(() => {});
        await clock.settle();
        caller.abort(new NsmError(Code.Cancelled, "the caller went away"));
        await expect(call).rejects.toMatchObject({ code: Code.Cancelled });
      }),
    ],
  ];
}
