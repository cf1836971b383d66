import { Metadata, type Server as GrpcServer } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { Code, explain, NsmError, type Clock, type Logger, type Peer } from "../core/index.js";
import { type Identity } from "../identity/index.js";
import { tokenFromHeaders } from "../identity/token-headers.js";
import type { CallConnections } from "./call-connections.js";
import { holdAnswer } from "./admission.js";
import { answerStream, answerUnary, type Answer, type StreamAnswer } from "./answer.js";
import type { Handlers, StreamHandler, UnaryHandler } from "./handlers.js";
import type { IncomingCall } from "./incoming.js";
import type { PeerAccounts } from "./peer-accounts.js";
import { PATH_HEADER } from "../wire/path-header.js";
import { TRACING_HEADER } from "../wire/grpc-tracing.js";
import { statusOf, type WireStatus } from "../wire/status.js";

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type StreamCall = ServerWritableStream<Buffer, Buffer>;
type AnyCall = UnaryCall | StreamCall;

/** Dependencies of the call handlers. */
export interface GrpcCallsOptions {
  readonly identity: Pick<Identity, "peerOfCall">;
  readonly handlers: Handlers;
  readonly connections: Pick<CallConnections, "of">;
  readonly accounts: Pick<PeerAccounts, "of">;
  readonly clock: Clock;
  readonly logger: Logger;
}

const same = (bytes: Buffer): Buffer => bytes;

/** The calls of a gRPC server that are in progress. */
export class GrpcCalls {
  private readonly streams = new Set<StreamAnswer>();
  private unary = 0;

  constructor(private readonly options: GrpcCallsOptions) {}

  get unaryCount(): number {
    return this.unary;
  }

  get streamCount(): number {
    return this.streams.size;
  }

  /** Registers the handlers with the server. */
  register(server: GrpcServer): void {
    for (const [method, handler] of this.options.handlers) {
      if (handler.kind === "unary") {
        server.register(method, this.answerUnary(method, handler), same, same, "unary");
      } else {
        server.register(method, this.answerStream(method, handler), same, same, "serverStream");
      }
    }
  }

  /** Ends all streams immediately. Streams have no natural end to wait for. */
  endStreams(status: WireStatus): void {
    for (const stream of [...this.streams]) stream.stop(status);
  }

  private answerUnary(method: string, handler: UnaryHandler) {
    return (call: UnaryCall, callback: sendUnaryData<Buffer>): void => {
      void this.unaryCall(method, handler, call, callback);
    };
  }

  private async unaryCall(
    method: string,
    handler: UnaryHandler,
    call: UnaryCall,
    callback: sendUnaryData<Buffer>,
  ): Promise<void> {
    this.unary++;
    const life = callLife(call);
    let answer: Answer;
    try {
      answer = await answerUnary(handler, method, this.incoming(call, life.signal), call.request);
    } catch (error) {
      answer = { status: statusOf(error) };
    }
    life.done();
    this.unary--;
    try {
      if ("status" in answer) return callback(answer.status);
      if (answer.path !== undefined) {
        const headers = new Metadata();
        headers.set(PATH_HEADER, answer.path);
        call.sendMetadata(headers);
      }
      const { accounts, connections } = this.options;
      holdAnswer(call, accounts.of(connections.of(call)), answer.message);
      callback(null, answer.message);
    } catch (error) {
      this.options.logger.warn({ method, error: explain(error) }, "an answer could not be sent");
    }
  }

  private answerStream(method: string, handler: StreamHandler) {
    return (call: StreamCall): void => {
      const life = callLife(call);
      let answer: StreamAnswer | undefined;
      let ended = false;
      const end = (outcome?: WireStatus): void => {
        ended = true;
        life.done();
        if (answer) this.streams.delete(answer);
        // grpc-js turns an emitted error into the status of the call, after the messages written before.
        if (outcome) call.emit("error", outcome);
        else call.end();
      };
      try {
        const incoming = this.incoming(call, life.signal);
        const write = (message: Buffer): boolean => call.write(message);
        answer = answerStream(handler, method, incoming, call.request, { write, end });
        if (!ended) this.streams.add(answer);
        call.on("drain", () => answer?.drained());
      } catch (error) {
        end(statusOf(error));
      }
    };
  }

  private incoming(call: AnyCall, signal: AbortSignal): IncomingCall {
    const deadline = Number(call.getDeadline());
    return {
      signal,
      clock: this.options.clock,
      remainingMs: Number.isFinite(deadline) ? deadline - Date.now() : undefined,
      peer: this.peerOf(call),
      path: call.metadata.get(PATH_HEADER).at(-1)?.toString(),
      tracing: call.metadata.get(TRACING_HEADER).at(-1)?.toString(),
      logger: this.options.logger,
    };
  }

  private peerOf(call: AnyCall): Peer {
    const known = this.options.identity.peerOfCall(call);
    const connection = this.options.connections.of(call);
    return {
      address: connection?.address ?? "unknown",
      local: connection?.local ?? false,
      connection,
      certificate: known?.certificate,
      spiffeId: known?.id.toString(),
      token: tokenFromHeaders(call.metadata),
    };
  }
}

/** A signal that aborts if the caller cancels or its deadline passes before the call is done. */
function callLife(call: AnyCall): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  let done = false;
  // grpc-js also emits this event when a call ends successfully.
  call.once("cancelled", () => {
    if (done) return;
    const late = Number(call.getDeadline()) <= Date.now();
    controller.abort(
      late
        ? new NsmError(Code.DeadlineExceeded, "the caller's deadline passed")
        : new NsmError(Code.Cancelled, "the caller canceled the call"),
    );
  });
  return { signal: controller.signal, done: () => (done = true) };
}
