/**
 * `nsmctl demo`: a firewall on a vWire, with real processes and real packets, on one machine.
 *
 * @packageDocumentation
 */
import { explain } from "../../core/index.js";
import { Checks, roundedMs, type Check } from "./report/checks.js";
import { interruption } from "./machine/interruption.js";
import { runScenario } from "./scenario/run.js";
import { preflight } from "./machine/preflight.js";
import { screen, silentScreen, verdict } from "./report/screen.js";
import { againInUserNamespace } from "./machine/user-namespace.js";

/** Output format of the demo. */
export interface DemoOptions {
  /** Prints one JSON object to stdout, and everything else to stderr. Default: false. */
  readonly json?: boolean;
}

/** The output of `--json`. */
export interface DemoReport {
  readonly ok: boolean;
  readonly seconds: number;
  readonly checks: readonly Check[];
  /** The processes on the connection's path when it was first established. */
  readonly path: readonly string[];
  /** Resources that still exist after the cleanup. */
  readonly leftovers: readonly string[];
}

const TITLE = "Network Service Mesh on this machine: a firewall at the end of a vWire";

/** Exit code if this machine lacks what the demo needs. */
const CANNOT_RUN = 2;

/**
 * Runs the demo and resolves to the exit code: 0 on success, 1 if a check failed, 2 if this machine cannot
 * run it, 128 plus the signal's number if interrupted.
 */
export async function demo({ json = false }: DemoOptions): Promise<number> {
  const began = performance.now();
  const report = (checks: Checks, path: readonly string[], leftovers: readonly string[]): DemoReport => {
    const all = checks.all();
    const seconds = Math.round(performance.now() - began) / 1_000;
    const result = { ok: all.every(({ ok }) => ok), seconds, checks: all, path, leftovers };
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return result;
  };

  const tried = await preflight().catch(
    (error: unknown) => ({ kind: "nowhere", detail: explain(error) }) as const,
  );
  if (tried.kind === "user-namespace") return againInUserNamespace();
  const preflown = {
    name: "preflight",
    ok: tried.kind === "here",
    ms: roundedMs(began),
    detail: tried.detail,
  } as const;
  if (tried.kind === "nowhere") {
    const checks = new Checks({ until: new AbortController().signal, observer: silentScreen });
    checks.add(preflown);
    process.stderr.write(`nsmctl demo: ${tried.detail}\n`);
    report(checks, [], []);
    return CANNOT_RUN;
  }

  const output = screen(json ? process.stderr : process.stdout);
  const interrupted = interruption();
  const checks = new Checks({ until: interrupted.signal, observer: output });
  output.line(TITLE);
  output.heading("Setting up");
  checks.add(preflown);
  const { path, leftovers } = await runScenario({ checks, screen: output });
  const { ok, seconds } = report(checks, path, leftovers);
  for (const line of verdict(checks, seconds)) output.line(line);
  return ok ? 0 : (interrupted.exitCode ?? 1);
}
