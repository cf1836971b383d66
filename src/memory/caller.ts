import { Observable } from "rxjs";
import { Code, type Context, type Logger, type NsmError, type Peer, type Clock } from "../core/index.js";
import { grpcTracing, registrationPath } from "../wire/index.js";
import { answerStream, answerUnary } from "../inbound/answer.js";
import { decodePath, encodePath } from "../wire/index.js";
import type { Handler, Handlers } from "../inbound/handlers.js";
import type { IncomingCall } from "../inbound/incoming.js";
import { attachments, serverPeer, type Caller } from "../outbound/caller.js";
import { reachedBy } from "./attachments.js";
import { MemoryCall, type Medium, type MemoryOwner } from "./call.js";

/** A server that listens at an address. */
export interface Listening {
  readonly handlers: Handlers;
  /** How callers see it. */
  readonly peer: Peer;
  readonly logger: Logger | undefined;
  /** The clock of the calls it serves. */
  readonly clock: Clock;
}

/** What an in-memory caller needs. */
export interface MemoryCallerOptions {
  readonly medium: Medium;
  /** Servers by target. */
  readonly listening: ReadonlyMap<string, Listening>;
  readonly owner: MemoryOwner;
  readonly target: string;
  readonly url: string;
}

/** Calls the server that listens at one address. */
export function memoryCaller({ medium, listening, owner, target, url }: MemoryCallerOptions): Caller {
  const begin = (ctx: Context, method: string, onError: (error: NsmError) => void): MemoryCall =>
    new MemoryCall(medium, ctx, { from: owner.name, target, method, url, owner }, onError);

  /** Delivers the call to the server. `arrive` runs there. */
  const send = <K extends Handler["kind"]>(
    call: MemoryCall,
    ctx: Context,
    kind: K,
    path: string | undefined,
    arrive: (handler: Extract<Handler, { kind: K }>, incoming: IncomingCall) => void,
  ): void =>
    call.travel("there", () => {
      const server = listening.get(target);
      if (!server) return call.break("no process listens at this address");
      const sent = ctx.get(attachments);
      const [near, far] = (sent && owner.attachments.endsTo(server)) ?? [];
      for (const fd of sent ?? []) near?.send(fd);
      const holder = ctx.get(serverPeer);
      if (holder) holder.current = reachedBy(server.peer, near);
      const { method } = call.route;
      const handler = server.handlers.get(method);
      if (handler?.kind !== kind) {
        return call.answerWith(Code.Unimplemented, `the server does not implement the method ${method}`);
      }
      const token = owner.tokens(server.peer);
      arrive(handler as Extract<Handler, { kind: K }>, {
        signal: call.server.signal,
        clock: server.clock,
        remainingMs: ctx.deadline === undefined ? undefined : ctx.deadline - medium.clock.now(),
        peer: { ...reachedBy(owner.peer, far), token },
        path,
        tracing: ctx.get(grpcTracing)?.toString(),
        logger: server.logger,
      });
      if (medium.faults.strikes("cancel", call.route)) {
        call.later(() => call.answerWith(Code.Cancelled, "the call was canceled in transit"));
      }
    });

  return {
    unary: (ctx, method, message, { carriesPath = false } = {}) =>
      new Promise((resolve, reject) => {
        const call = begin(ctx, method.path, reject);
        call.step(() => {
          const holder = carriesPath ? ctx.get(registrationPath) : undefined;
          const path = carriesPath ? encodePath(holder?.current ?? { index: 0, segments: [] }) : undefined;
          const bytes = method.requestSerialize(message);
          send(call, ctx, "unary", path, (handler, incoming) => {
            void answerUnary(handler, method.path, incoming, bytes).then((answer) =>
              call.travel("back", () => {
                if (medium.faults.strikes("drop", call.route)) {
                  return call.break("the connection broke before the answer");
                }
                if ("status" in answer) return call.answerWith(answer.status.code, answer.status.details);
                const returned = answer.path === undefined ? undefined : decodePath(answer.path);
                if (holder && returned) holder.current = returned;
                const result = method.responseDeserialize(answer.message);
                call.end();
                resolve(result);
              }),
            );
          });
        });
      }),

    stream: (ctx, method, message) =>
      new Observable((subscriber) => {
        const call = begin(ctx, method.path, (error) => subscriber.error(error));
        call.step(() => {
          const bytes = method.requestSerialize(message);
          send(call, ctx, "stream", undefined, (handler, incoming) => {
            const answer = answerStream(handler, method.path, incoming, bytes, {
              write: (item) => {
                call.travel("back", () => {
                  subscriber.next(method.responseDeserialize(item));
                  answer.drained();
                });
                return false;
              },
              end: (status) =>
                call.travel("back", () => {
                  if (status) return call.answerWith(status.code, status.details);
                  call.end();
                  subscriber.complete();
                }),
            });
          });
        });
        return () => call.cancel();
      }),
  };
}
