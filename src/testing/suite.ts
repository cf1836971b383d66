import { Code, codeOf, NsmError } from "../core/index.js";

interface Matchers<R> {
  toBe(expected: unknown): R;
  toEqual(expected: unknown): R;
  toMatch(expected: RegExp): R;
  toMatchObject(expected: object): R;
  toContain(expected: unknown): R;
}

/**
 * The part of vitest that contract suites use. Declared here, so that the kit's types compile without vitest.
 */
export interface Suite {
  describe(title: string, body: () => void): unknown;
  test(title: string, check: () => Promise<void>): unknown;
  readonly expect: {
    (
      actual: unknown,
      what?: string,
    ): Matchers<void> & {
      readonly not: Matchers<void>;
      readonly rejects: Matchers<Promise<void>>;
    };
    fail(message: string): never;
  };
}

// Loaded only under vitest. The rest of the kit works without it, in programs and with other test runners.
const vitest: Suite | undefined = process.env["VITEST"] ? await import("vitest") : undefined;

/** `describe`, `test` and `expect` for contract suites. */
export function suite(): Suite {
  if (!vitest) throw new NsmError(Code.FailedPrecondition, "contract suites run only in a vitest test file");
  return vitest;
}

/** One sentence of a contract, and its check. */
export type Check = readonly [title: string, check: () => Promise<void>];

/** Creates a test for each check. */
export function describeChecks(title: string, checks: readonly Check[]): void {
  const { describe, test } = suite();
  describe(title, () => checks.forEach(([sentence, check]) => test(sentence, check)));
}

/** Expects a call to fail with the error of a probe behind the element. */
export async function refusedWith(call: Promise<unknown>, code: Code, wrapped: boolean): Promise<void> {
  const { expect } = suite();
  const error: unknown = await call.then(
    () => expect.fail("the call succeeded although what stands behind the element failed"),
    (reason: unknown) => reason,
  );
  expect(codeOf(error)).toBe(code);
  if (!wrapped) expect((error as Error).message).toMatch(/^the test fails this /);
}
