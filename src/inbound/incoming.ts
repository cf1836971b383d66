import { Context, log, logger, peer, type Clock, type Logger, type Peer } from "../core/index.js";
import { grpcTracing, registrationPath, type RegistrationPathHolder } from "../wire/index.js";
import { decodePath, encodePath } from "../wire/path-header.js";
import { parseTracing } from "../wire/grpc-tracing.js";

/** A call as it came in, whatever it came in on. */
export interface IncomingCall {
  /** Aborts when the caller hangs up or its time is over. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long the caller waits; undefined when for ever. */
  readonly remainingMs: number | undefined;
  readonly peer: Peer;
  /** The header `path`, as it was sent. */
  readonly path?: string | undefined;
  /** The header `grpctracing`, as it was sent. */
  readonly tracing?: string | undefined;
  readonly logger?: Logger | undefined;
}

/** Runs `work` in the Context of an incoming call; its timer is gone when the work ends. */
export function inContext<R>(call: IncomingCall, work: (ctx: Context) => Promise<R>): Promise<R> {
  const ctx = Context.background({ signal: call.signal, clock: call.clock })
    .with(logger, call.logger)
    .with(peer, call.peer)
    .with(grpcTracing, parseTracing(call.tracing));
  return call.remainingMs === undefined ? work(ctx) : ctx.withTimeout(call.remainingMs, work);
}

/**
 * Runs a Register or Unregister with the path its caller sent, and gives back what the answer's header says. A
 * caller that sent none, or one that cannot be read, is served without and gets none back.
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
