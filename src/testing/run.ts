import { getEventListeners } from "node:events";
import { lastValueFrom, toArray } from "rxjs";
import {
  NetworkServiceEndpointQuery,
  type Connection,
  type NetworkServiceEndpoint,
  type NetworkServiceEndpointResponse,
  type NetworkServiceRequest,
} from "../api/index.js";
import {
  chain,
  Context,
  debugState,
  endpointRegistryChain,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type NetworkService,
} from "../core/index.js";
import { freezing } from "./frozen.js";
import { sampleConnection, sampleEndpoint, sampleRequest } from "./messages.js";
import { virtualClock, type VirtualClock } from "./virtual-clock.js";

/** Surroundings of a chain under test. */
export interface RunOptions<S> {
  /** What the last element calls. Default: the service's default answer. */
  readonly tail?: S | undefined;
  readonly clock?: VirtualClock | undefined;
  /** The Context of every call; it should have `clock`. */
  readonly ctx?: Context | undefined;
}

/** Common parts of every chain under test. */
interface Bench {
  readonly clock: VirtualClock;
  readonly ctx: Context;
  /** What the elements hold. */
  debugState(): DebugState;
  /**
   * What the elements hold, plus their remaining timers and abort listeners. Should be `{}` at the end of a
   * test.
   */
  leftovers(): DebugState;
}

/** A chain of the Request/Close service, ready to call. */
export interface Run extends Bench {
  /**
   * Sends the sample request with a patched connection. The ID stays the same, so a second call is a refresh.
   */
  request(patch?: Partial<Connection>, ctx?: Context): Promise<Connection>;
  /** Sends a request unchanged. */
  send(request: NetworkServiceRequest, ctx?: Context): Promise<Connection>;
  /** Sends the result of the last successful call again, patched. */
  refresh(patch?: Partial<Connection>, ctx?: Context): Promise<Connection>;
  /** Closes a connection. Default: the result of the last successful call. */
  close(connection?: Connection, ctx?: Context): Promise<void>;
}

/** A chain of the endpoint registry, ready to call. */
export interface RegistryRun extends Bench {
  /** Registers the sample endpoint, patched. The name stays the same, so a second call is a refresh. */
  register(patch?: Partial<NetworkServiceEndpoint>, ctx?: Context): Promise<NetworkServiceEndpoint>;
  /** Returns all answers of a Find without `watch`. */
  find(patch?: Partial<NetworkServiceEndpoint>): Promise<NetworkServiceEndpointResponse[]>;
  /** Unregisters an entry. Default: the result of the last successful call. */
  unregister(entry?: NetworkServiceEndpoint, ctx?: Context): Promise<void>;
}

/**
 * Builds a chain of exactly these elements for a test. Elements that the tested one needs must be in the
 * list. Every message between elements is frozen: an element that writes to one throws.
 *
 * @example
 * import { Code, connectionState } from "nsm-sdk";
 * import { groupIpam } from "nsm-sdk/elements/ipam/group";
 * import { failOnce, run } from "nsm-sdk/testing";
 *
 * const { request, close, leftovers } = run([
 *   connectionState(),
 *   groupIpam([["10.0.0.0/24"]]),
 *   failOnce(Code.Unavailable),
 * ]);
 * await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
 * expect(leftovers()).toEqual({});
 */
export function run(elements: Elements<NetworkService>, options: RunOptions<NetworkService> = {}): Run {
  const linked = chain(elements, { ...(options.tail && { tail: options.tail }), trace: freezing });
  const base = bench(elements, options);
  let last: Connection | undefined;

  const send: Run["send"] = async (request, ctx = base.ctx) => (last = await linked.request(ctx, request));
  return {
    ...base,
    send,
    request: (patch, ctx) => send(sampleRequest(base.clock.now(), patch), ctx),
    refresh(patch, ctx) {
      const request = sampleRequest(base.clock.now());
      return send({ ...request, connection: { ...(last ?? request.connection!), ...patch } }, ctx);
    },
    close: (connection = last ?? sampleConnection(base.clock.now()), ctx = base.ctx) =>
      linked.close(ctx, connection),
  };
}

/** Like {@link run}, for elements of the endpoint registry. */
export function runRegistry(
  elements: Elements<EndpointRegistry>,
  options: RunOptions<EndpointRegistry> = {},
): RegistryRun {
  const linked = endpointRegistryChain(elements, {
    ...(options.tail && { tail: options.tail }),
    trace: freezing,
  });
  const base = bench(elements, options);
  let last: NetworkServiceEndpoint | undefined;

  return {
    ...base,
    register: async (patch, ctx = base.ctx) =>
      (last = await linked.register(ctx, sampleEndpoint(base.clock.now(), patch))),
    find(patch = {}) {
      const empty = { name: "", networkServiceNames: [], url: "", expirationTime: undefined };
      const query = NetworkServiceEndpointQuery.create({
        networkServiceEndpoint: sampleEndpoint(0, { ...empty, ...patch }),
      });
      return lastValueFrom(linked.find(base.ctx, query).pipe(toArray()));
    },
    unregister: (entry = last ?? sampleEndpoint(base.clock.now()), ctx = base.ctx) =>
      linked.unregister(ctx, entry),
  };
}

function bench<S>(elements: Elements<S>, options: RunOptions<S>): Bench {
  const clock = options.clock ?? virtualClock();
  const ctx = options.ctx ?? Context.background({ clock });
  return {
    clock,
    ctx,
    debugState: () => debugState(elements),
    leftovers() {
      const listeners = getEventListeners(ctx.signal, "abort").length;
      return {
        ...debugState(elements),
        ...(clock.timers > 0 ? { timers: clock.timers } : {}),
        ...(listeners > 0 ? { listeners } : {}),
      };
    },
  };
}
