import { Context, log, logger, peer, type Clock, type Logger, type Peer } from "../core/index.js";
import { grpcTracing, registrationPath, type RegistrationPathHolder } from "../wire/index.js";
import { decodePath, encodePath } from "../wire/path-header.js";
import { parseTracing } from "../wire/grpc-tracing.js";

/** A received call, independent of its transport. */
export interface IncomingCall {
  /** Aborts when the caller cancels or its deadline passes. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Time until the caller's deadline, in milliseconds. Undefined without a deadline. */
  readonly remainingMs: number | undefined;
  readonly peer: Peer;
  /** The header `path` as received. */
  readonly path?: string | undefined;
  /** The header `grpctracing` as received. */
  readonly tracing?: string | undefined;
  readonly logger?: Logger | undefined;
}

/** Runs `work` in the Context of an incoming call. The deadline timer is cleared when the work ends. */
export function inContext<R>(call: IncomingCall, work: (ctx: Context) => Promise<R>): Promise<R> {
  const ctx = Context.background({ signal: call.signal, clock: call.clock })
    .with(logger, call.logger)
    .with(peer, call.peer)
    .with(grpcTracing, parseTracing(call.tracing));
  return call.remainingMs === undefined ? work(ctx) : ctx.withTimeout(call.remainingMs, work);
}

/**
 * Runs a Register or Unregister with the path that its caller sent, and returns the path for the answer's
 * header. Without a readable path, the call is served without one and the answer carries none.
 */
export async function withPath<R>(
  ctx: Context,
  text: string | undefined,
  work: (ctx: Context) => Promise<R>,
): Promise<{ readonly result: R; readonly path?: string }> {
  const current = text === undefined ? undefined : decodePath(text);
  if (!current) {
    if (text !== undefined)
      log(ctx).warn({ length: text.length }, "the caller's registration path is not JSON");
    return { result: await work(ctx) };
  }
  const holder: RegistrationPathHolder = { current };
  const result = await work(ctx.with(registrationPath, holder));
  return { result, path: encodePath(holder.current) };
}
