import { Subscription } from "rxjs";
import { log, type Context } from "../core/index.js";
import type { StreamHandler, UnaryHandler } from "./handlers.js";
import { inContext, withPath, type IncomingCall } from "./incoming.js";
import { ReaderQueue } from "./reader-queue.js";
import { isExpected, statusOf, withoutSecrets, type WireStatus } from "../wire/status.js";

/** The answer to a call: a message, or the status of the failure. */
export type Answer =
  { readonly message: Buffer; readonly path?: string | undefined } | { readonly status: WireStatus };

/** Answers a unary call. Never rejects. */
export async function answerUnary(
  handler: UnaryHandler,
  method: string,
  call: IncomingCall,
  request: Uint8Array,
): Promise<Answer> {
  return inContext(call, async (ctx) => {
    try {
      if (!handler.carriesPath) return { message: await handler.run(ctx, request) };
      const { result, path } = await withPath(ctx, call.path, (c) => handler.run(c, request));
      return { message: result, path };
    } catch (error) {
      return { status: failed(ctx, method, error) };
    }
  });
}

/** Receives the messages of a stream. */
export interface Sink {
  /**
   * Writes a message. Returns false if the reader is full; the next write must wait for
   * `StreamAnswer.drained`.
   */
  write(message: Buffer): boolean;
  /** Ends the stream. Without a status, it ends successfully. */
  end(status?: WireStatus): void;
}

/** A stream in progress. */
export interface StreamAnswer {
  /** Continues writing: the reader has room again. */
  drained(): void;
  /** Ends the stream from this side. Drops messages that still wait. */
  stop(status: WireStatus): void;
}

/**
 * Answers a streaming call. Subscribes to the service and writes to the sink at the reader's pace. Ends with
 * the service, with the caller's signal or deadline, or with `stop`.
 */
export function answerStream(
  handler: StreamHandler,
  method: string,
  call: IncomingCall,
  request: Uint8Array,
  sink: Sink,
): StreamAnswer {
  let flow: Flow | undefined;
  // inContext runs its callback synchronously.
  void inContext(call, (ctx) => (flow = new Flow(ctx, handler, method, sink)).run(request));
  return flow!;
}

class Flow implements StreamAnswer {
  private readonly queue: ReaderQueue<unknown>;
  /** Released when the stream ends. */
  private readonly held = new Subscription();
  private blocked = false;
  /** How the source ended. Reported after the last waiting message is written. */
  private outcome: { readonly status?: WireStatus } | undefined;

  constructor(
    private readonly ctx: Context,
    private readonly handler: StreamHandler,
    private readonly method: string,
    private readonly sink: Sink,
  ) {
    this.queue = new ReaderQueue(handler.rules);
  }

  /** Resolves when the stream has ended, for any reason. */
  run(request: Uint8Array): Promise<void> {
    const { signal } = this.ctx;
    return new Promise((resolve) => {
      this.held.add(() => resolve());
      const abort = (): void => this.stop(statusOf(signal.reason));
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      this.held.add(() => signal.removeEventListener("abort", abort));
      this.guarded(() => {
        const source = this.handler.run(this.ctx, request).subscribe({
          next: (message) => {
            this.queue.push(message);
            this.pump();
          },
          error: (error) => this.finish({ status: failed(this.ctx, this.method, error) }),
          complete: () => this.finish({}),
        });
        this.held.add(source);
      });
    });
  }

  drained(): void {
    this.blocked = false;
    this.pump();
  }

  stop(status?: WireStatus): void {
    if (this.held.closed) return;
    this.held.unsubscribe();
    this.sink.end(status);
  }

  private finish(outcome: { readonly status?: WireStatus }): void {
    this.outcome = outcome;
    this.pump();
  }

  private pump(): void {
    this.guarded(() => {
      while (!this.held.closed && !this.blocked && this.queue.size > 0) {
        this.blocked = !this.sink.write(this.handler.encode(this.queue.take()));
      }
      if (this.outcome && this.queue.size === 0) this.stop(this.outcome.status);
    });
  }

  // An exception in a service ends the call, not the process.
  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.stop(failed(this.ctx, this.method, error));
    }
  }
}

function failed(ctx: Context, method: string, error: unknown): WireStatus {
  const status = statusOf(error);
  if (!isExpected(error)) {
    const stack = error instanceof Error && error.stack ? withoutSecrets(error.stack) : undefined;
    log(ctx).error({ method, error: status.details, stack }, "a call failed with an unexpected error");
  }
  return status;
}
