import type { Observable } from "rxjs";
import {
  MonitorConnectionService,
  NetworkServiceEndpoint,
  NetworkServiceEndpointRegistryService,
  NetworkServiceEntry,
  NetworkServiceRegistryService,
  NetworkServiceService,
} from "../api/index.js";
import { Code, NsmError, type Context } from "../core/index.js";
import type { QueueRules } from "./reader-queue.js";
import { assertFewValues } from "../wire/index.js";
import type { Services } from "./services.js";
import { connectionEvents, foundEndpoints, foundNetworkServices } from "./stream-rules.js";

/** Handles a unary call. Works on bytes, so that any transport can use it. */
export interface UnaryHandler {
  readonly kind: "unary";
  /** Whether the header `path` travels with the call and its answer. */
  readonly carriesPath: boolean;
  run(ctx: Context, request: Uint8Array): Promise<Buffer>;
}

/** Handles a streaming call. */
export interface StreamHandler {
  readonly kind: "stream";
  readonly rules: QueueRules<unknown>;
  run(ctx: Context, request: Uint8Array): Observable<unknown>;
  encode(message: unknown): Buffer;
}

/** Handles the calls of one method. */
export type Handler = UnaryHandler | StreamHandler;

/** Decodes requests and encodes answers of one method. Generated. */
export interface Method<Q, A> {
  readonly path: string;
  requestDeserialize(bytes: Buffer): Q;
  responseSerialize(answer: A): Buffer;
}

/** Handlers by the path of their method: `/networkservice.NetworkService/Request`. */
export type Handlers = ReadonlyMap<string, Handler>;

/** The handlers of all given services. */
export function handlersOf({ networkService, monitor, networkServices, endpoints }: Services): Handlers {
  const entries: [string, Handler][] = [];
  if (networkService) {
    const { request, close } = NetworkServiceService;
    entries.push(
      unary(request, (ctx, message) => networkService.request(ctx, message)),
      unary(close, (ctx, connection) => answered(networkService.close(ctx, connection))),
    );
  }
  if (monitor) {
    const { monitorConnections } = MonitorConnectionService;
    entries.push(
      stream(monitorConnections, connectionEvents, (ctx, selector) =>
        monitor.monitorConnections(ctx, selector),
      ),
    );
  }
  if (networkServices) {
    const { register, find, unregister } = NetworkServiceRegistryService;
    entries.push(
      unary(register, (ctx, entry) => networkServices.register(ctx, entry), { carriesPath: true }),
      stream(find, foundNetworkServices, (ctx, query) =>
        networkServices.find(ctx, {
          ...query,
          networkService: query.networkService ?? NetworkServiceEntry.create(),
        }),
      ),
      unary(unregister, (ctx, entry) => answered(networkServices.unregister(ctx, entry)), {
        carriesPath: true,
      }),
    );
  }
  if (endpoints) {
    const { register, find, unregister } = NetworkServiceEndpointRegistryService;
    entries.push(
      unary(register, (ctx, entry) => endpoints.register(ctx, entry), { carriesPath: true }),
      // An empty query matches everything. A Go registry crashes on a query without an entry.
      stream(find, foundEndpoints, (ctx, query) =>
        endpoints.find(ctx, {
          ...query,
          networkServiceEndpoint: query.networkServiceEndpoint ?? NetworkServiceEndpoint.create(),
        }),
      ),
      unary(unregister, (ctx, entry) => answered(endpoints.unregister(ctx, entry)), { carriesPath: true }),
    );
  }
  return new Map(entries);
}

/** Creates the handler of a unary method. */
export function unary<Q, A>(
  method: Method<Q, A>,
  run: (ctx: Context, message: Q) => Promise<A>,
  { carriesPath = false } = {},
): [string, UnaryHandler] {
  return [
    method.path,
    {
      kind: "unary",
      carriesPath,
      run: async (ctx, bytes) => {
        const message = decode(method, bytes);
        assertFewValues(method.path, bytes.length, message);
        return method.responseSerialize(await run(ctx, message));
      },
    },
  ];
}

/** Creates the handler of a streaming method. */
export function stream<Q, A>(
  method: Method<Q, A>,
  rules: QueueRules<A>,
  run: (ctx: Context, message: Q) => Observable<A>,
): [string, StreamHandler] {
  return [
    method.path,
    {
      kind: "stream",
      // Only messages from `run` reach these two functions.
      rules: rules as QueueRules<unknown>,
      encode: (message) => method.responseSerialize(message as A),
      run: (ctx, bytes) => run(ctx, decode(method, bytes)),
    },
  ];
}

function decode<Q, A>(method: Method<Q, A>, bytes: Uint8Array): Q {
  try {
    return method.requestDeserialize(bytes as Buffer);
  } catch (cause) {
    throw new NsmError(Code.InvalidArgument, `the message of ${method.path} is not valid protobuf`, {
      cause,
    });
  }
}

// Close and Unregister answer with an Empty.
async function answered(work: Promise<void>): Promise<object> {
  await work;
  return {};
}
