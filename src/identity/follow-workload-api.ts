import { atEnd } from "../core/until.js";
import { backoff, Code, codeOf, explain, NsmError, repeat, systemClock, type Clock } from "../core/index.js";
import type { X509SVIDResponse } from "../api/generated/workload.js";
import { warnOfIdentity } from "./warning.js";
import { contextOfResponse, type OfferedSvid } from "./workload-response.js";
import type { OpenStream } from "./workload-stream.js";
import { mutableSource, type MutableSource, type X509Source } from "./x509-source.js";

/** Where the Workload API is, and how to follow it. */
export interface WorkloadApiSourceOptions {
  /**
   * Address of the Workload API: `unix:///path` or `tcp://ip:port`. Default: the environment variable
   * SPIFFE_ENDPOINT_SOCKET.
   */
  readonly socket?: string | undefined;
  /**
   * Selects the SVID to use if the agent offers several. Undefined keeps the previous identity. Default: the first
   * one.
   */
  readonly pickSvid?: ((offered: readonly OfferedSvid[]) => OfferedSvid | undefined) | undefined;
  /** Time limit for the first identity, in milliseconds. Default: 60,000. */
  readonly startTimeoutMs?: number | undefined;
  /** Ends the wait for the first identity. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called once per problem: the agent is not reachable, has no identity for this process, or sent a response that is
   * not usable. The previous identity stays in use. Default: a process warning.
   */
  readonly onProblem?: ((problem: NsmError) => void) | undefined;
  readonly clock?: Clock | undefined;
}

const START_TIMEOUT_MS = 60_000;

/** Delays between two streams, in milliseconds. */
const RETRY = { initialMs: 500, maxMs: 10_000 } as const;

/** Time limit for the first response of a stream, in milliseconds. */
const RESPONSE_MS = 30_000;

/** Answers of a server to which the same request can never succeed. */
const hopeless = new Set<Code>([Code.InvalidArgument, Code.Unimplemented]);

/**
 * Follows a Workload API over streams that `open` opens. Resolves with the first usable identity.
 *
 * @param address the address of the API, for messages
 */
export async function followWorkloadApi(
  address: string,
  open: OpenStream,
  options: Omit<WorkloadApiSourceOptions, "socket">,
): Promise<X509Source> {
  const { clock = systemClock, onProblem = warnOfIdentity, startTimeoutMs = START_TIMEOUT_MS } = options;
  const { pickSvid = ([first]) => first, signal } = options;
  const life = new AbortController();
  let source: MutableSource | undefined;
  let nextWait = backoff(RETRY);
  let streams = 0;
  let problem: NsmError | undefined;

  const report = (next: NsmError): void => {
    const known = problem !== undefined && explain(problem) === explain(next);
    problem = next;
    if (!known) onProblem(next);
  };

  let first!: (source: MutableSource) => void;
  let fail!: (error: unknown) => void;
  const started = new Promise<MutableSource>((resolve, reject) => ([first, fail] = [resolve, reject]));

  const accept = (response: X509SVIDResponse): void => {
    let context;
    try {
      context = contextOfResponse(response, pickSvid, clock.now(), source?.current());
    } catch (cause) {
      const text = `an identity from the Workload API at ${address} is not usable`;
      return report(new NsmError(Code.FailedPrecondition, text, { cause }));
    }
    problem = undefined;
    nextWait = backoff(RETRY);
    if (source) source.update(context);
    else first((source = mutableSource(context)));
  };

  const follow = async (): Promise<never> => {
    streams++;
    const stream = new AbortController();
    const endStream = atEnd(life.signal, () => stream.abort(life.signal.reason));
    const cancelLimit = clock.after(
      RESPONSE_MS,
      () => stream.abort(new NsmError(Code.DeadlineExceeded, `no response within ${RESPONSE_MS} ms`)),
      { background: source !== undefined },
    );
    try {
      return await open(stream.signal, (response) => {
        cancelLimit();
        accept(response);
      });
    } finally {
      cancelLimit();
      endStream();
    }
  };

  const ended = (cause: unknown): void => {
    if (life.signal.aborted) return;
    const code = codeOf(cause);
    if (!source && hopeless.has(code)) {
      throw new NsmError(code, `${address} rejects requests of the Workload API`, { cause });
    }
    report(
      code === Code.PermissionDenied
        ? new NsmError(code, `the Workload API at ${address} has no identity for this process`, { cause })
        : new NsmError(Code.Unavailable, `the connection to the Workload API at ${address} failed`, {
            cause,
          }),
    );
  };

  const cancelTimeout = clock.after(startTimeoutMs, () => {
    const tried = `${streams} ${streams === 1 ? "connection" : "connections"}`;
    const text = `no identity from the Workload API at ${address} within ${startTimeoutMs} ms and ${tried}`;
    fail(new NsmError(Code.DeadlineExceeded, text, { cause: problem }));
  });
  const cancelSignal = signal && atEnd(signal, () => fail(signal.reason));
  repeat(follow, {
    // A started program may end while its agent is not reachable.
    clock: {
      now: () => clock.now(),
      after: (ms, work) => clock.after(ms, work, { background: source !== undefined }),
    },
    signal: life.signal,
    nextWait: () => nextWait(),
    onFailure: ended,
  }).catch(fail);
  try {
    const held = await started;
    return {
      current: () => held.current(),
      changes: held.changes,
      close() {
        life.abort();
        held.close();
      },
    };
  } catch (error) {
    life.abort();
    throw error;
  } finally {
    cancelTimeout();
    cancelSignal?.();
  }
}
