import { createPrivateKey } from "node:crypto";
import { onTestFinished } from "vitest";
import type { X509SVID, X509SVIDResponse } from "../../src/api/generated/workload.js";
import { explain } from "../../src/core/index.js";
import { parseCertificates, type IssuedSvid, type X509Source } from "../../src/identity/index.js";
import { followWorkloadApi, type WorkloadApiSourceOptions } from "../../src/identity/follow-workload-api.js";
import { virtualClock, type VirtualClock } from "../../src/testing/index.js";

/** Certificates as a Workload API sends them: concatenated DER. */
export function der(pem: string): Buffer {
  return Buffer.concat(parseCertificates(pem).map(({ raw }) => raw));
}

/** One SVID of a response. */
export function svidOf(issued: IssuedSvid, patch: Partial<X509SVID> = {}): X509SVID {
  return {
    spiffeId: `${issued.id}`,
    x509Svid: der(issued.svid),
    x509SvidKey: createPrivateKey(issued.key).export({ type: "pkcs8", format: "der" }),
    bundle: der(issued.ca),
    hint: "",
    ...patch,
  };
}

export function responseOf(
  svids: readonly X509SVID[],
  federatedBundles: Record<string, Buffer> = {},
): X509SVIDResponse {
  return { svids, crl: [], federatedBundles };
}

/** A Workload API in memory, and a source that follows it in virtual time. */
export interface Followed {
  readonly clock: VirtualClock;
  /** The texts of the reported problems. */
  readonly problems: string[];
  readonly source: Promise<X509Source>;
  /** How many streams were opened so far. */
  readonly opened: number;
  /** Whether a stream is open. */
  readonly isOpen: boolean;
  respond(response: X509SVIDResponse): Promise<void>;
  /** Ends the open stream with an error. */
  end(error: unknown): Promise<void>;
}

export function followed(options: WorkloadApiSourceOptions = {}): Followed {
  const clock = virtualClock(Date.now());
  const problems: string[] = [];
  let opened = 0;
  let stream: { respond(response: X509SVIDResponse): void; end(error: unknown): void } | undefined;
  const source = followWorkloadApi(
    "unix:///agent.sock",
    (signal, respond) =>
      new Promise((_, reject) => {
        opened++;
        const end = (error: unknown): void => {
          stream = undefined;
          reject(error as Error);
        };
        stream = { respond, end };
        signal.addEventListener("abort", () => end(signal.reason), { once: true });
      }),
    { clock, onProblem: (problem) => problems.push(explain(problem)), ...options },
  );
  // A test may end before it looks at the failure.
  source.catch(() => {});
  onTestFinished(async () => (await source.catch(() => undefined))?.close());
  return {
    clock,
    problems,
    source,
    get opened() {
      return opened;
    },
    get isOpen() {
      return stream !== undefined;
    },
    async respond(response) {
      stream!.respond(response);
      await clock.settle();
    },
    async end(error) {
      stream!.end(error);
      await clock.settle();
    },
  };
}
