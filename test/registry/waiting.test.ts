import { describe, expect, test } from "vitest";
import { Code, NsmError, silent } from "../../src/core/index.js";
import { Waiting } from "../../src/registry/waiting.js";
import { virtualClock } from "../../src/testing/index.js";

function setUp() {
  const clock = virtualClock();
  const lines: string[] = [];
  const logger = {
    ...silent,
    info: (fields: object, message: string) =>
      void lines.push([message, ...Object.values(fields).map(String)].join(": ")),
  };
  return { clock, lines, waiting: new Waiting({ what: "the manager", clock, logger }) };
}

const unavailable = (why: string): NsmError => new NsmError(Code.Unavailable, why);

describe("the wait of a program", () => {
  test("is logged within one second when no answer arrives", async () => {
    const { clock, lines, waiting } = setUp();
    await clock.advance(1_000);
    expect(lines).toEqual(["waiting for the manager: no answer yet"]);
    await clock.advance(60_000);
    expect(lines).toHaveLength(1);
    waiting.answered();
    expect(lines.at(-1)).toBe("the manager answered");
    expect(clock.timers).toBe(0);
  });

  test("is logged with its reason at once, and again only when the reason changes", () => {
    const { clock, lines, waiting } = setUp();
    for (const why of ["refused", "refused", "no such file", "refused"]) waiting.failed(unavailable(why));
    expect(lines).toEqual([
      "waiting for the manager: refused",
      "waiting for the manager: no such file",
      "waiting for the manager: refused",
    ]);
    expect(clock.timers).toBe(0);
  });

  test("is not logged when the answer comes soon, nor after the end", async () => {
    const { clock, lines, waiting } = setUp();
    waiting.answered();
    waiting.failed(unavailable("refused"));
    await clock.advance(2_000);
    expect(lines).toEqual([]);
  });

  test("does not report the end of the program itself", () => {
    const { lines, waiting } = setUp();
    waiting.failed(new NsmError(Code.Cancelled, "the program is stopping"));
    waiting.stop();
    expect(lines).toEqual([]);
  });
});
