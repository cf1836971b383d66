import { throwError } from "rxjs";
import { afterEach, beforeEach, expect } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointResponse,
  NetworkServiceRequest,
} from "../../src/api/index.js";
import { Code, Context, NsmError, type Clock, type Logger } from "../../src/core/index.js";
import type { Services } from "../../src/inbound/index.js";
import type { HealthRemote, HealthRemotes } from "../../src/outbound/index.js";

/** A server of one kind of remote. */
export interface TestServer {
  readonly url: string;
  setServing(service: string, serving: boolean): void;
  /** Dies without a word. */
  kill(): Promise<void>;
}

/** One kind of remote under test. */
export interface RemoteKit {
  readonly clock: Clock;
  listen(served: Services, logger?: Logger): Promise<TestServer>;
  readonly remotes: HealthRemotes;
  /** An address where no process listens. */
  readonly nowhere: string;
  /** Lets time pass, where it does not do so by itself. */
  pass(ms: number): Promise<void>;
  /** Takes everything down and checks that nothing is left. */
  close(): Promise<void>;
}

// Those of the test that runs.
export let kit: RemoteKit;
export let ctx: Context;

/** Makes a kit for each test of the group under way. */
export function useKit(kitOf: () => Promise<RemoteKit>): void {
  beforeEach(async () => {
    kit = await kitOf();
    ctx = Context.background({ clock: kit.clock });
  });
  afterEach(() => kit.close());
}

export const remoteTo = async (served: Services, logger?: Logger): Promise<HealthRemote> =>
  kit.remotes.to((await kit.listen(served, logger)).url);

export const request = NetworkServiceRequest.create({
  connection: Connection.create({ id: "c1", networkService: "firewall", labels: { app: "web" } }),
});
export const nse = NetworkServiceEndpoint.create({ name: "nse-1", networkServiceNames: ["firewall"] });

export const echo: NonNullable<Services["networkService"]> = {
  request: async (_ctx, { connection }) => connection!,
  close: async () => {},
};

export const noRegistry = {
  register: <E>(_ctx: Context, entry: E): Promise<E> => Promise.resolve(entry),
  find: () => throwError(() => new NsmError(Code.Internal, "not asked for")),
  unregister: async () => {},
};

export const allEndpoints = NetworkServiceEndpointQuery.create({ networkServiceEndpoint: {} });
export const watchEndpoints = NetworkServiceEndpointQuery.create({ networkServiceEndpoint: {}, watch: true });

export function found(name: string): NetworkServiceEndpointResponse {
  return NetworkServiceEndpointResponse.create({ networkServiceEndpoint: { name } });
}

export function initial(connections: { [id: string]: Connection }): ConnectionEvent {
  return ConnectionEvent.create({ type: ConnectionEventType.INITIAL_STATE_TRANSFER, connections });
}

/** A Request that publishes its signal and then waits for it. */
export function hanging(started: (signal: AbortSignal) => void): (ctx: Context) => Promise<never> {
  return ({ signal }) => {
    started(signal);
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
    );
  };
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** What the work failed with; it must fail. */
export async function failure(work: Promise<unknown>): Promise<NsmError> {
  const outcome = await work.then(
    () => "it succeeded",
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(NsmError);
  return outcome as NsmError;
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((r) => (resolve = r));
  return { promise, resolve };
}
