import { defer, from, switchMap, type Observable } from "rxjs";
import type { Connection, NetworkServiceRequest } from "../api/index.js";
import {
  codeName,
  NsmError,
  type Code,
  type Context,
  type NetworkService,
  type Registry,
} from "../core/index.js";

/** A method of any service. */
export type Method = "request" | "close" | "register" | "find" | "unregister";

/** An element for every kind of chain: network services and both registries. */
export interface Probe {
  readonly name: string;
  request(ctx: Context, request: NetworkServiceRequest, next: NetworkService): Promise<Connection>;
  close(ctx: Context, connection: Connection, next: NetworkService): Promise<void>;
  register<E, Q, F>(ctx: Context, entry: E, next: Registry<E, Q, F>): Promise<E>;
  find<E, Q, F>(ctx: Context, query: Q, next: Registry<E, Q, F>): Observable<F>;
  unregister<E, Q, F>(ctx: Context, entry: E, next: Registry<E, Q, F>): Promise<void>;
}

/** Creates an element that runs `look` before each call. An error of `look` fails the call. */
function probe(
  name: string,
  look: (method: Method, ctx: Context, arg: unknown) => void | Promise<void>,
): Probe {
  return {
    name,
    async request(ctx, request, next) {
      await look("request", ctx, request);
      return next.request(ctx, request);
    },
    async close(ctx, connection, next) {
      await look("close", ctx, connection);
      return next.close(ctx, connection);
    },
    async register(ctx, entry, next) {
      await look("register", ctx, entry);
      return next.register(ctx, entry);
    },
    find: (ctx, query, next) =>
      defer(() => from(Promise.resolve(look("find", ctx, query)))).pipe(
        switchMap(() => next.find(ctx, query)),
      ),
    async unregister(ctx, entry, next) {
      await look("unregister", ctx, entry);
      return next.unregister(ctx, entry);
    },
  };
}

/** Calls that passed, in order. */
export interface Recorder extends Probe {
  /** The methods called. */
  readonly calls: readonly Method[];
  readonly requests: readonly NetworkServiceRequest[];
  readonly closes: readonly Connection[];
  /** The arguments of one method, for the methods of the registries. */
  args<T>(method: Method): readonly T[];
}

/**
 * Records the calls that reach its place in the chain.
 *
 * @example
 * import { roundRobin } from "nsm-sdk/elements/round-robin";
 * import { recorder, run } from "nsm-sdk/testing";
 *
 * const seen = recorder();
 * const { request } = run([roundRobin(), seen]);
 */
export function recorder(): Recorder {
  const all: { readonly method: Method; readonly arg: unknown }[] = [];
  const args = <T>(method: Method): readonly T[] =>
    all.filter((call) => call.method === method).map(({ arg }) => arg as T);
  const element = probe("recorder", (method, _ctx, arg) => void all.push({ method, arg }));
  return Object.defineProperties(element as Recorder, {
    calls: { get: () => all.map(({ method }) => method) },
    requests: { get: () => args("request") },
    closes: { get: () => args("close") },
    args: { value: args },
  });
}

/** Runs `check` on every call. An exception or a failed assertion in it fails the call. */
export function checkContext(
  check: (ctx: Context, method: Method, arg: unknown) => void | Promise<void>,
): Probe {
  return probe("check-context", (method, ctx, arg) => check(ctx, method, arg));
}

/** Fails the first call of `method` with `code`. Later calls pass. */
export function failOnce(code: Code, method: Method = "request"): Probe {
  return failing((n) => n === 0, code, method);
}

/** Passes the first `n` calls of `method` and fails all later ones. */
export function failAfter(n: number, code: Code, method: Method = "request"): Probe {
  return failing((call) => call >= n, code, method);
}

function failing(when: (call: number) => boolean, code: Code, failed: Method): Probe {
  let calls = 0;
  return probe("fail", (method) => {
    if (method === failed && when(calls++)) {
      throw new NsmError(code, `the test fails this ${method} with ${codeName(code)}`);
    }
  });
}

/** A gate in a chain. */
export interface Hold extends Probe {
  /** The number of waiting calls. */
  readonly waiting: number;
  /** Passes all waiting calls, and later calls until `hold` is called. */
  release(): void;
  /** Makes calls wait again. */
  hold(): void;
}

/** Holds calls until `release`. A call that is canceled or times out fails with that reason. */
export function hold(): Hold {
  let open = false;
  const waiting = new Set<() => void>();
  const element = probe("hold", async (_method, { signal }) => {
    if (open) return;
    await new Promise<void>((resolve, reject) => {
      const done = (): void => {
        waiting.delete(done);
        signal.removeEventListener("abort", abort);
        resolve();
      };
      const abort = (): void => {
        waiting.delete(done);
        reject(signal.reason as Error);
      };
      if (signal.aborted) return abort();
      waiting.add(done);
      signal.addEventListener("abort", abort, { once: true });
    });
  });
  return Object.defineProperties(element as Hold, {
    waiting: { get: () => waiting.size },
    release: {
      value() {
        open = true;
        for (const done of [...waiting]) done();
      },
    },
    hold: { value: () => void (open = false) },
  });
}
