import { expect, test } from "vitest";
import { GoFailures } from "./go-failures.js";

const known = new Error("failed to send a file x: close x: file already closed");

test("a known fault of Go is repeated once, and counted", async () => {
  const failures = new GoFailures();
  const attempts: number[] = [];
  const attempt = (failed: number) => {
    attempts.push(failed);
    return failed === 0 ? Promise.reject(known) : Promise.resolve("passed");
  };
  await expect(failures.tolerate(attempt)).resolves.toBe("passed");
  failures.read(`a line\n${known.message}\n`);
  expect(attempts).toEqual([0, 1]);
  expect(failures.report()).toContain(
    "tests repeated: Go's grpcfd closed a file twice; log lines of other calls: 1",
  );
});

test.each([
  ["a known fault that comes again", known, 2],
  ["any other failure", new Error("expected [] to equal [1]"), 1],
])("%s fails the test", async (_which, error, attempts) => {
  let count = 0;
  const attempt = () => Promise.reject((count++, error));
  await expect(new GoFailures().tolerate(attempt)).rejects.toBe(error);
  expect(count).toBe(attempts);
});
