import type { ServerHttp2Stream } from "node:http2";
import type { ServerInterceptingCall, ServerInterceptor } from "@grpc/grpc-js";
import { asNsmError, Code, NsmError, type TransportConnection } from "../core/index.js";
import { streamOf, type Identity, type ServerCall } from "../identity/index.js";
import type { PeerAccount, PeerAccounts } from "./peer-accounts.js";
import type { RefusalLog } from "./refusals.js";
import { statusOf } from "./wire-status.js";

/** Who may call, and how many bytes of unfinished messages one peer may have sent. */
export interface AdmissionOptions {
  readonly identity: Pick<Identity, "peerOfCall">;
  readonly connectionOf: (call: ServerCall) => TransportConnection | undefined;
  readonly accounts: PeerAccounts;
  readonly unfinishedBytesPerPeer: number;
  readonly refusals: RefusalLog;
}

// Node's overhead for each piece of data. It counts because a peer may send its bytes one by one.
const PIECE_BYTES = 256;

/** Refuses calls before their message is read: those of unknown callers, and those of peers that send too much. */
export function admission(options: AdmissionOptions): ServerInterceptor {
  const { identity, connectionOf, accounts, unfinishedBytesPerPeer, refusals } = options;
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
    if (account) meter(stream, account, unfinishedBytesPerPeer, refuse);
    return call;
  };
}

/** Adds the bytes of a call's message to its peer's account until the message is complete. */
function meter(
  stream: ServerHttp2Stream,
  account: PeerAccount,
  most: number,
  refuse: (error: NsmError) => void,
): void {
  let held = 0;
  const done = (): void => {
    stream.removeListener("data", count);
    account.unfinishedBytes -= held;
    held = 0;
  };
  const count = ({ length }: Buffer): void => {
    held += length + PIECE_BYTES;
    account.unfinishedBytes += length + PIECE_BYTES;
    if (account.unfinishedBytes <= most) return;
    done();
    refuse(
      new NsmError(
        Code.ResourceExhausted,
        `the unfinished messages of ${account.peer} exceed ${most} bytes: send fewer at once`,
      ),
    );
  };
  stream.on("data", count).once("end", done).once("close", done);
}
