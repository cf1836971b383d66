import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { atEnd } from "../../src/core/until.js";

test("atEnd runs its work once when the program ends, immediately if it has ended", () => {
  const program = new AbortController();
  let runs = 0;
  atEnd(program.signal, () => runs++);
  expect(runs).toBe(0);
  program.abort();
  expect(runs).toBe(1);
  atEnd(program.signal, () => runs++);
  expect(runs).toBe(2);
  expect(getEventListeners(program.signal, "abort")).toEqual([]);
});

test("atEnd accepts any number of elements without a warning from Node", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  const program = new AbortController();
  for (let i = 0; i < 20; i++) atEnd(program.signal, () => {});
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", note);
  expect(warnings).toEqual([]);
});
