import type { Connection, NetworkServiceRequest } from "../../../src/api/index.js";
import { Code, NsmError, type Context, type Remote, type Remotes } from "../../../src/core/index.js";

/** The calls that reached a next hop. */
export interface Arrival {
  readonly url: string;
  readonly method: "request" | "close";
  readonly connection: Connection;
}

/** Remotes to fake next hops, which record the calls and answer with their argument. */
export interface FakeRemotes {
  readonly remotes: Remotes;
  readonly arrivals: readonly Arrival[];
  /** `request tcp://a`, in order. */
  readonly calls: readonly string[];
  /** Called for every call. If it throws, the call fails. */
  onCall(hook: (call: Arrival, ctx: Context) => void | Promise<void>): void;
}

export function fakeRemotes(): FakeRemotes {
  const arrivals: Arrival[] = [];
  const known = new Map<string, Remote>();
  let hook: (call: Arrival, ctx: Context) => void | Promise<void> = () => {};

  const arrive = async (ctx: Context, call: Arrival): Promise<void> => {
    ctx.throwIfDone();
    arrivals.push(call);
    await hook(call, ctx);
  };
  const remote = (url: string): Remote =>
    ({
      url,
      networkService: {
        async request(ctx: Context, request: NetworkServiceRequest) {
          await arrive(ctx, { url, method: "request", connection: request.connection! });
          return request.connection!;
        },
        close: (ctx: Context, connection: Connection) => arrive(ctx, { url, method: "close", connection }),
      },
    }) as Partial<Remote> as Remote;

  return {
    arrivals,
    get calls() {
      return arrivals.map(({ method, url }) => `${method} ${url}`);
    },
    onCall: (next) => void (hook = next),
    remotes: {
      to(url) {
        if (!/^(tcp|unix):/.test(url)) throw new NsmError(Code.InvalidArgument, `"${url}" is no address`);
        const found = known.get(url) ?? remote(url);
        known.set(url, found);
        return found;
      },
      close() {},
    },
  };
}
