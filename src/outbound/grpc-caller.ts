import { Metadata, type CallOptions, type ServiceError } from "@grpc/grpc-js";
import { Observable } from "rxjs";
import { asNsmError, Code, codeOf, NsmError, type Context } from "../core/index.js";
import { grpcTracing, registrationPath, type RegistrationPathHolder } from "../wire/index.js";
import { assertFewValues, decodePath, encodePath, PATH_HEADER, TRACING_HEADER } from "../wire/index.js";
import { attachments, serverPeer, type Caller, type Method } from "./caller.js";
import type { CredentialsOfCall } from "./channel-connections.js";
import type { ChannelPool } from "./channel-pool.js";
import type { PooledChannel } from "./grpc-channel.js";
import { callAborted, callFailed } from "../wire/call-error.js";

/** The connection pools of one target. Both are the same pool where descriptors cannot travel. */
export interface CallerPools {
  readonly plain: ChannelPool;
  /** For calls with attachments. Passing descriptors makes every call on a connection more expensive. */
  readonly attachable: ChannelPool;
}

/** Calls one target over gRPC. */
export function grpcCaller(pools: CallerPools): Caller {
  const { url } = pools.plain;

  const isLate = (ctx: Context, error?: ServiceError | null): boolean =>
    codeOf(ctx.signal.aborted ? ctx.signal.reason : error) === Code.DeadlineExceeded;
  const failure = (ctx: Context, channel: PooledChannel, method: string, error: ServiceError): NsmError => {
    if (pools.plain.closed)
      return callFailed(method, url, Code.Cancelled, "the remotes of this process are closed");
    if (ctx.signal.aborted) return callAborted(method, url, asNsmError(ctx.signal.reason));
    if (channel.abandoned) return callFailed(method, url, Code.Unavailable, "its connection went silent");
    const details = error.details ?? error.message;
    // grpc-js reports every failed handshake as UNAVAILABLE, including those that no retry can fix.
    const { handshakeFailure: handshake } = channel;
    if (handshake && details.includes(handshake.message)) {
      return callFailed(method, url, handshake.code, handshake.message);
    }
    return callFailed(method, url, codeOf(error), plain(details));
  };
  const optionsOf = (ctx: Context, credentials: CredentialsOfCall): CallOptions => {
    const remaining = ctx.remainingMs;
    return {
      // gRPC deadlines use the wall clock; the Context has its own clock.
      ...(remaining !== undefined && { deadline: Date.now() + remaining }),
      credentials,
    };
  };
  const acquire = (ctx: Context, method: string): PooledChannel => {
    if (ctx.signal.aborted) throw callAborted(method, url, asNsmError(ctx.signal.reason));
    const pool = ctx.get(attachments) === undefined ? pools.plain : pools.attachable;
    const channel = pool.current();
    if (!channel) throw callFailed(method, url, Code.Cancelled, "the remotes of this process are closed");
    return channel;
  };
  const reportPeer = (ctx: Context, { connection }: CredentialsOfCall): void => {
    const holder = ctx.get(serverPeer);
    if (holder) holder.current = connection?.peer;
  };

  return {
    async unary<Q, A>(
      ctx: Context,
      method: Method<Q, A>,
      message: Q,
      { carriesPath = false } = {},
    ): Promise<A> {
      const holder: RegistrationPathHolder | undefined = carriesPath ? ctx.get(registrationPath) : undefined;
      const path = carriesPath ? encodePath(holder?.current ?? { index: 0, segments: [] }) : undefined;
      const channel = acquire(ctx, method.path);
      const metadata = headersOf(ctx);
      const credentials = channel.credentials(ctx.get(attachments));
      if (path !== undefined) metadata.set(PATH_HEADER, path);
      return new Promise<A>((resolve, reject) => {
        let returned: string | undefined;
        const call = channel.client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          (bytes) => {
            const answer = method.responseDeserialize(bytes);
            assertFewValues(method.path, bytes.length, answer);
            return answer;
          },
          message,
          metadata,
          optionsOf(ctx, credentials),
          (error, answer) => {
            ctx.signal.removeEventListener("abort", abort);
            channel.ended(call, isLate(ctx, error));
            reportPeer(ctx, credentials);
            if (error) return reject(failure(ctx, channel, method.path, error));
            const known = returned === undefined ? undefined : decodePath(returned);
            if (holder && known) holder.current = known;
            resolve(answer!);
          },
        );
        if (carriesPath) {
          call.once("metadata", (headers) => (returned = headers.get(PATH_HEADER).at(-1)?.toString()));
        }
        const abort = (): void => {
          call.cancel();
          reject(callAborted(method.path, url, asNsmError(ctx.signal.reason)));
        };
        ctx.signal.addEventListener("abort", abort, { once: true });
        channel.began(call);
      });
    },

    stream: <Q, A>(ctx: Context, method: Method<Q, A>, message: Q) =>
      new Observable<A>((subscriber) => {
        const channel = acquire(ctx, method.path);
        const credentials = channel.credentials(ctx.get(attachments));
        const call = channel.client.makeServerStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          message,
          headersOf(ctx),
          optionsOf(ctx, credentials),
        );
        const abort = (): void => {
          call.cancel();
          subscriber.error(callAborted(method.path, url, asNsmError(ctx.signal.reason)));
        };
        ctx.signal.addEventListener("abort", abort, { once: true });
        channel.began(call);
        let failed: ServiceError | undefined;
        call.on("data", (answer: A) => {
          reportPeer(ctx, credentials);
          subscriber.next(answer);
        });
        // grpc-js emits the error at once, while messages may still wait to be read. "end" follows the last
        // message.
        call.on("error", (error: ServiceError) => (failed = error));
        call.on("end", () => {
          if (failed) subscriber.error(failure(ctx, channel, method.path, failed));
          else subscriber.complete();
        });
        call.on("status", () => {
          ctx.signal.removeEventListener("abort", abort);
          channel.ended(call, isLate(ctx, failed));
        });
        return () => call.cancel();
      }),
  };
}

const CLOSED_AT_ONCE =
  "it closed the connection before HTTP/2 started: check that both sides use TLS or both use --insecure";

function headersOf(ctx: Context): Metadata {
  const metadata = new Metadata();
  const tracing = ctx.get(grpcTracing);
  if (tracing !== undefined) metadata.set(TRACING_HEADER, String(tracing));
  return metadata;
}

// Removes the details that grpc-js adds (when, in which part). Keeps the reason.
function plain(details: string): string {
  return details
    .replace(/^No connection established\. Last error: (\w*Error: )?/, "not reachable: ")
    .replace(/^Getting metadata from plugin failed with error: /, "")
    .replace("Failed to connect", CLOSED_AT_ONCE)
    .replace(/\. Resolution note: $/, "")
    .replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, "");
}
