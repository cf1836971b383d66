import { describe, expect, test } from "vitest";
import { withoutEmptyValues } from "../../src/cli/empty-values.js";
import { loadProgram } from "../../src/programs/index.js";

const options = (await loadProgram("nse"))!.options();
const without = (args: readonly string[], env: NodeJS.ProcessEnv = {}): string[] =>
  withoutEmptyValues(["run", "nse", ...args], options, env).slice(2);

describe("an empty value means that nothing was given", () => {
  test("for a flag, in both spellings", () => {
    expect(without(["--listen-on", "", "--name=", "--service", "s"])).toEqual(["--service", "s"]);
    expect(without(["--netns", " "])).toEqual([]);
    expect(without(["--labels", ""])).toEqual([]);
  });

  test("for a flag that may stand alone", () => {
    expect(without(["--insecure", ""])).toEqual([]);
    expect(without(["--insecure", "--service", "s"])).toEqual(["--insecure", "--service", "s"]);
  });

  test("for every variable", () => {
    const named = options.map(({ envVar }) => envVar!);
    const env = { ...Object.fromEntries(named.map((name) => [name, ""])), OTHER: "", NSM_NAME: "nse-1" };
    without([], env);
    expect(env).toEqual({ OTHER: "", NSM_NAME: "nse-1" });
  });

  test("and leaves everything else alone", () => {
    expect(without(["--unknown", "", "--name", "a=", "--labels=a=b"])).toEqual([
      "--unknown",
      "",
      "--name",
      "a=",
      "--labels=a=b",
    ]);
  });
});
