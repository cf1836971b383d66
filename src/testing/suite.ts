import { Code, NsmError } from "../core/index.js";

type Vitest = typeof import("vitest");

// Only under vitest: everything else here serves without it, in programs and with other test runners.
const vitest: Vitest | undefined = process.env["VITEST"] ? await import("vitest") : undefined;

/** `describe`, `test` and `expect` for contract suites. */
export function suite(): Pick<Vitest, "describe" | "test" | "expect"> {
  if (!vitest) throw new NsmError(Code.FailedPrecondition, "contract suites run only in a vitest test file");
  return vitest;
}
