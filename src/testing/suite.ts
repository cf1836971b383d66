import { Code, codeOf, NsmError } from "../core/index.js";

type Vitest = typeof import("vitest");

// Only under vitest: everything else here serves without it, in programs and with other test runners.
const vitest: Vitest | undefined = process.env["VITEST"] ? await import("vitest") : undefined;

/** `describe`, `test` and `expect` for contract suites. */
export function suite(): Pick<Vitest, "describe" | "test" | "expect"> {
  if (!vitest) throw new NsmError(Code.FailedPrecondition, "contract suites run only in a vitest test file");
  return vitest;
}

/** One sentence of a contract, and how to find out whether it holds. */
export type Check = readonly [title: string, check: () => Promise<void>];

/** A test for every check. */
export function describeChecks(title: string, checks: readonly Check[]): void {
  const { describe, test } = suite();
  describe(title, () => checks.forEach(([sentence, check]) => test(sentence, check)));
}

/** Expects a call to fail with what a probe behind the element failed it with. */
export async function refusedWith(call: Promise<unknown>, code: Code, wrapped: boolean): Promise<void> {
  const { expect } = suite();
  const error: unknown = await call.then(
    () => expect.fail("the call succeeded although what stands behind the element failed"),
    (reason: unknown) => reason,
  );
  expect(codeOf(error)).toBe(code);
  if (!wrapped) expect((error as Error).message).toMatch(/^the test fails this /);
}
