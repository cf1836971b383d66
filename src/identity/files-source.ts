import { Code, explain, NsmError, systemClock, type CancelTimer, type Clock } from "../core/index.js";
import { directoryWatch } from "../files/index.js";
import { exposedKey, readIdentityFiles } from "./identity-files.js";
import { mutableSource, type X509Source } from "./x509-source.js";

/** How a directory of PEM files is followed. */
export interface FilesSourceOptions {
  readonly clock?: Clock | undefined;
  /** How often the files are read even if the directory reports no change, in milliseconds. Default: 60,000. */
  readonly recheckMs?: number | undefined;
  /**
   * Reports each problem once: other users may read the private key, the files became invalid, or the directory cannot
   * be watched. The identity that was read before stays in use. Default: a warning of the process.
   */
  readonly onProblem?: ((problem: NsmError) => void) | undefined;
}

const RECHECK_MS = 60_000;

// Three files are not replaced in one step: for this long, one that does not fit the others is being replaced.
const SETTLE_MS = 1_000;

/**
 * The identity in a directory of ca.pem, svid.pem (leaf first) and key.pem, followed as the files change. A new
 * identity is taken when all three fit together and never in part, however they were replaced: written in
 * place, renamed over, or by a swapped symlink as Kubernetes does with volumes.
 *
 * @throws NsmError naming the file, what it was and what is allowed, when they are not usable at first
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
  let told: string | undefined;
  let cancelSettle: CancelTimer | undefined;
  let reading = false;
  let wanted: "nothing" | "look" | "verdict" = "nothing";

  const tell = (problem: NsmError): void => {
    const text = explain(problem);
    if (text === told) return;
    told = text;
    onProblem(problem);
  };
  const settled = (): void => {
    cancelSettle?.();
    cancelSettle = undefined;
  };
  const failed = (cause: unknown, verdict: boolean): void => {
    if (verdict) {
      settled();
      tell(new NsmError(Code.FailedPrecondition, `the identity in ${directory} stays as it was`, { cause }));
    } else {
      cancelSettle ??= clock.after(SETTLE_MS, () => {
        cancelSettle = undefined;
        look("verdict");
      });
    }
  };
  // One reading at a time; whatever is heard meanwhile makes one more.
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
          told = undefined;
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
  // What changed between the first reading and the watch.
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
