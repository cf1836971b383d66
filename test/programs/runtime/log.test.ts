import { describe, expect, test } from "vitest";
import { programLogger, traceWhenVerbose } from "../../../src/programs/runtime/log.js";
import { textLine } from "../../../src/programs/runtime/text-line.js";

const line = (fields: object): string =>
  JSON.stringify({
    level: "info",
    time: "2026-11-21T14:55:01.123Z",
    pid: 1,
    hostname: "node-1",
    name: "nsmgr",
    msg: "connection established",
    ...fields,
  });

describe("a line of the log for people", () => {
  test("has time, level, program, message and fields, in this order", () => {
    expect(textLine(line({ connection: "nsc-0", labels: { a: 1 }, cause: "" }), { colors: false })).toBe(
      '14:55:01.123 info  nsmgr: connection established connection=nsc-0 labels={"a":1}\n',
    );
  });

  test("quotes what would read as something else", () => {
    expect(textLine(line({ reason: "not there", x: 'a"b', y: "c=d" }), { colors: false })).toContain(
      String.raw`reason="not there" x="a\"b" y="c=d"`,
    );
  });

  test("shows what a terminal would obey", () => {
    const hostile = "a\u001b[2J\u009b2K\u202ex\u007f\u2028";
    const err = { type: "Error", message: hostile, stack: `Error: ${hostile}\n    at here` };
    const text = textLine(
      line({ connection: hostile, labels: { [hostile]: hostile }, [hostile]: 1, msg: `m\n${hostile}`, err }),
      { colors: false },
    );
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{C}\u2028]/u);
    expect(text.split("\n")).toHaveLength(4);
    expect(text).toContain(String.raw`connection="a\u001b[2J\u009b2K\u202ex\u007f\u2028"`);
  });

  test("shows a stack below", () => {
    const err = { type: "Error", message: "it broke", stack: "Error: it broke\n    at here" };
    expect(textLine(line({ err }), { colors: false })).toMatch(
      /err="it broke"\nError: it broke\n {4}at here\n$/,
    );
  });

  test("marks its level in color on a terminal", () => {
    expect(textLine(line({ level: "error" }), { colors: true })).toContain("\u001b[31merror");
  });
});

describe("tracing of a program", () => {
  test("follows the logger's level while the program runs", () => {
    const logger = programLogger({ name: "p", logLevel: "info" });
    const { isEnabled } = traceWhenVerbose(logger);
    expect(isEnabled?.()).toBe(false);
    logger.level = "trace";
    expect(isEnabled?.()).toBe(true);
    logger.level = "info";
    expect(isEnabled?.()).toBe(false);
  });
});
