import type { ServerHttp2Stream } from "node:http2";
import type { ServerInterceptingCall, ServerInterceptor } from "@grpc/grpc-js";
import { asNsmError, Code, NsmError, type TransportConnection } from "../core/index.js";
import { type Identity, type ServerCall } from "../identity/index.js";
import { headerBytes, streamOf } from "../identity/server-credentials.js";
import type { PeerAccount, PeerAccounts } from "./peer-accounts.js";
import type { RefusalLog } from "./refusals.js";
import { statusOf } from "../wire/status.js";

/** Authenticates callers, and limits the memory that the calls of one peer occupy. */
export interface AdmissionOptions {
  readonly identity: Pick<Identity, "peerOfCall">;
  readonly connectionOf: (call: ServerCall) => TransportConnection | undefined;
  readonly accounts: PeerAccounts;
  readonly limits: { readonly unfinishedBytesPerPeer: number; readonly callBytesPerPeer: number };
  readonly refusals: RefusalLog;
}

// Memory overhead of Node for each chunk of data. It counts because a peer may send its bytes one by one.
const PIECE_BYTES = 256;

/** Rejects calls before reading their message: calls of unknown callers, and of peers that send too much. */
export function admission(options: AdmissionOptions): ServerInterceptor {
  const { identity, connectionOf, accounts, limits, refusals } = options;
  return (_method, intercepted) => {
    // The type requires a wrapper; grpc-js accepts the call itself.
    const call = intercepted as ServerInterceptingCall;
    const serverCall = call as unknown as ServerCall;
    const stream = streamOf(call);
    if (!stream) return call;
    const account = accounts.of(connectionOf(serverCall));
    const refuse = (error: unknown): void => {
      refusals.report(account?.peer ?? "unknown", asNsmError(error));
      call.sendStatus(statusOf(error));
    };
    try {
      identity.peerOfCall(serverCall);
    } catch (error) {
      const { session } = stream;
      stream.once("close", () => session?.close());
      refuse(error);
      return call;
    }
    if (account) meter(stream, headerBytes(call), account, limits, refuse);
    return call;
  };
}

/**
 * Adds the bytes of a call to its peer's account. Message bytes count as unfinished until the message is
 * complete. Message and header bytes count as the call's until the peer has read the answer.
 */
function meter(
  stream: ServerHttp2Stream,
  headers: number,
  account: PeerAccount,
  { unfinishedBytesPerPeer, callBytesPerPeer }: AdmissionOptions["limits"],
  refuse: (error: NsmError) => void,
): void {
  let [unfinished, held] = [0, 0];
  const complete = (): void => {
    stream.removeListener("data", count);
    account.unfinishedBytes -= unfinished;
    unfinished = 0;
  };
  const done = (): void => {
    complete();
    account.callBytes -= held;
    held = 0;
  };
  const count = ({ length }: Buffer): void => {
    const bytes = length + PIECE_BYTES;
    unfinished += bytes;
    account.unfinishedBytes += bytes;
    hold(bytes);
  };
  const hold = (bytes: number): void => {
    held += bytes;
    account.callBytes += bytes;
    const over = excess(account);
    if (!over) return;
    done();
    refuse(over);
  };
  const excess = ({ peer, unfinishedBytes, callBytes }: PeerAccount): NsmError | undefined => {
    if (unfinishedBytes > unfinishedBytesPerPeer) {
      return new NsmError(
        Code.ResourceExhausted,
        `the unfinished messages of ${peer} exceed ${unfinishedBytesPerPeer} bytes: send fewer at once`,
      );
    }
    if (callBytes <= callBytesPerPeer) return undefined;
    return new NsmError(
      Code.ResourceExhausted,
      `the calls of ${peer} occupy more than ${callBytesPerPeer} bytes: read the answers, or send fewer at once`,
    );
  };
  stream.on("data", count).once("end", complete).once("close", done);
  hold(headers);
}

/** Adds the bytes of an answer to its peer's account until the peer has read it. */
export function holdAnswer(call: ServerCall, account: PeerAccount | undefined, { length }: Buffer): void {
  const stream = streamOf(call);
  if (!stream || !account || stream.closed) return;
  account.callBytes += length;
  stream.once("close", () => (account.callBytes -= length));
}
