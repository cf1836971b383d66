import { Code, explain, NsmError, systemClock, type CancelTimer, type Clock } from "../core/index.js";
import { directoryWatch } from "../files/index.js";
import { exposedKey, readIdentityFiles } from "./identity-files.js";
import { mutableSource, type X509Source } from "./x509-source.js";

/** How to follow a directory of PEM files. */
export interface FilesSourceOptions {
  readonly clock?: Clock | undefined;
  /** How often the files are read even if the directory reports no change, in milliseconds. Default: 60,000. */
  readonly recheckMs?: number | undefined;
  /**
   * Called once per problem: other users can read the private key, the files became invalid, or the directory
   * cannot be watched. The previous identity stays in use. Default: a process warning.
   */
  readonly onProblem?: ((problem: NsmError) => void) | undefined;
}

const RECHECK_MS = 60_000;

// The three files cannot be replaced atomically. A mismatch counts as an error only after this time.
const SETTLE_MS = 1_000;

/**
 * Reads the identity from a directory with ca.pem, svid.pem (leaf first) and key.pem, and follows changes. A
 * new identity takes effect when all three files match, never in part. Files can be written in place, renamed
 * over, or replaced by a symlink swap as in Kubernetes volumes.
 *
 * @throws NsmError if the initial files are not usable, with the file, its problem and what is allowed
 *
 * @example
 * import { explain } from "nsm-sdk/core";
 * import { filesSource } from "nsm-sdk/identity";
 *
 * const source = await filesSource("/etc/nsm/identity", { onProblem: (p) => logger.warn({}, explain(p)) });
 * source.changes.subscribe(({ svid }) => logger.info({ expires: svid.expires }, "the certificate was renewed"));
 * source.close();
 */
export async function filesSource(directory: string, options: FilesSourceOptions = {}): Promise<X509Source> {
  const { clock = systemClock, recheckMs = RECHECK_MS, onProblem = warn } = options;
  const first = await readIdentityFiles(directory, clock.now());
  const source = mutableSource(first.context);
  let { contents } = first;
  const exposed = await exposedKey(directory);
  if (exposed) onProblem(exposed);
  let closed = false;
  let reported: string | undefined;
  let cancelSettle: CancelTimer | undefined;
  let reading = false;
  let wanted: "nothing" | "look" | "verdict" = "nothing";

  const report = (problem: NsmError): void => {
    const text = explain(problem);
    if (text === reported) return;
    reported = text;
    onProblem(problem);
  };
  const settled = (): void => {
    cancelSettle?.();
    cancelSettle = undefined;
  };
  const failed = (cause: unknown, verdict: boolean): void => {
    if (verdict) {
      settled();
      report(
        new NsmError(Code.FailedPrecondition, `the identity in ${directory} was not updated`, { cause }),
      );
    } else {
      cancelSettle ??= clock.after(SETTLE_MS, () => {
        cancelSettle = undefined;
        look("verdict");
      });
    }
  };
  // Only one read at a time. Changes during a read cause one more read.
  const look = (kind: "look" | "verdict"): void => {
    if (wanted !== "verdict") wanted = kind;
    if (reading || closed) return;
    const verdict = wanted === "verdict";
    wanted = "nothing";
    reading = true;
    void readIdentityFiles(directory, clock.now())
      .then(
        (next) => {
          if (closed) return;
          settled();
          reported = undefined;
          if (next.contents === contents) return;
          contents = next.contents;
          source.update(next.context);
        },
        (error: unknown) => {
          if (!closed) failed(error, verdict);
        },
      )
      .finally(() => {
        reading = false;
        if (wanted !== "nothing") look(wanted);
      });
  };

  const watch = directoryWatch({
    directory,
    clock,
    recheckMs,
    onEvent: () => look("look"),
    onRecheck: () => look("verdict"),
    onFailure: (cause) => {
      const text = `${directory} cannot be watched; it is read every ${recheckMs} ms instead`;
      onProblem(new NsmError(Code.FailedPrecondition, text, { cause }));
    },
  });
  // Catches changes between the first read and the start of the watch.
  look("look");
  return {
    current: () => source.current(),
    changes: source.changes,
    close() {
      closed = true;
      settled();
      watch.close();
      source.close();
    },
  };
}

function warn(problem: NsmError): void {
  process.emitWarning(explain(problem), "NsmIdentityWarning");
}
