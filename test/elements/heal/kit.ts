import { EMPTY, Subject, throwError } from "rxjs";
import { PathSegment, pathOf, State } from "../../../src/api/index.js";
import { Code, NsmError, type Remote, type NetworkServiceElement } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginClient } from "../../../src/elements/begin/index.js";
import { nextRemote } from "../../../src/elements/dial/index.js";
import { heal, type HealOptions } from "../../../src/elements/heal/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import type { DownCause, MonitorHub, Observation } from "../../../src/elements/monitor/index.js";
import { recorder, run, virtualClock } from "../../../src/testing/index.js";

/** A next hop whose monitor the test controls. */
export function fakeHub(): MonitorHub & { lose(cause?: DownCause): void; readonly followers: number } {
  const followed = new Set<Subject<Observation>>();
  return {
    follow: () => {
      const observations = new Subject<Observation>();
      followed.add(observations);
      return observations;
    },
    debugState: () => ({}),
    lose(cause) {
      for (const observations of [...followed])
        observations.next({ connection: undefined, state: State.DOWN, cause });
    },
    get followers() {
      return [...followed].filter(({ observed }) => observed).length;
    },
  };
}

/** Sets the remote in place of dial(), and a path of four hops. */
export function dialled(away: () => boolean): NetworkServiceElement {
  const remote = {
    url: "tcp://nsmgr:1",
    monitor: {
      monitorConnections: () =>
        away() ? throwError(() => new NsmError(Code.Unavailable, "nobody listens there")) : EMPTY,
    },
  } as Partial<Remote> as Remote;
  return {
    name: "dialled",
    async request(ctx, request, next) {
      nextRemote.set(ctx, remote);
      const connection = await next.request(ctx, request);
      const { index, pathSegments } = pathOf(connection);
      const behind = ["nsmgr", "forwarder", "nse"].map((name) => PathSegment.create({ name, id: name }));
      return {
        ...connection,
        path: { index, pathSegments: [...pathSegments.slice(0, index + 1), ...behind] },
      };
    },
  };
}

/** Causes of a lost control plane, by the failed hop. */
export const lost = {
  nsmgr: { reason: "unreachable", hop: "nsc", index: 1 },
  forwarder: { reason: "unreachable", hop: "nsmgr", index: 2 },
  endpoint: { reason: "unreachable", hop: "forwarder", index: 3 },
} as const satisfies Record<string, DownCause>;

export interface NextHop extends NetworkServiceElement {
  /** The code that it rejects with. */
  code: Code | undefined;
  reason: string;
  /** Whether it is unreachable. */
  away: boolean;
  tries: number;
}

/** A next hop that rejects on demand. */
export function nextHop(): NextHop {
  const element: NextHop = {
    name: "next-hop",
    code: undefined,
    reason: "not now",
    away: false,
    tries: 0,
    request: async (ctx, request, next) => {
      element.tries++;
      if (element.away) throw new NsmError(Code.Unavailable, "nobody listens there");
      if (element.code !== undefined) throw new NsmError(element.code, element.reason);
      return next.request(ctx, request);
    },
  };
  return element;
}

export function setUp(options: Partial<HealOptions> = {}) {
  const hub = fakeHub();
  const program = new AbortController();
  const seen = recorder();
  const hop = nextHop();
  const clock = virtualClock();
  const chain = run(
    [
      updatePath({ name: "nsc" }),
      beginClient(),
      connectionState(),
      heal({ hub, until: program.signal, random: () => 0, ...options }),
      dialled(() => hop.away),
      seen,
      hop,
    ],
    { clock },
  );
  return { ...chain, hub, program, seen, hop };
}
