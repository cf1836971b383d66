import { Command, type Option } from "commander";
import { describe, expect, test } from "vitest";
import { limitsOption, registryLimitsOption } from "../../../src/programs/config/limits.js";

describe("the limits of a program", () => {
  const parsed = (option: Option, ...args: string[]): unknown =>
    new Command()
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .addOption(option)
      .parse(args, { from: "user" })
      .opts()[option.attributeName()];

  test("are given by name, in one flag", () => {
    expect(parsed(limitsOption(), "--limits", "connectionsPerPeer=100, idleMs=60000")).toEqual({
      connectionsPerPeer: 100,
      idleMs: 60_000,
    });
    expect(parsed(limitsOption())).toBeUndefined();
  });

  test("of a registry have defaults, which stay for what is not named", () => {
    const defaults = { entryBytes: 262_144, namesPerIdentity: 100_000, watches: 100_000 };
    expect(parsed(registryLimitsOption())).toEqual(defaults);
    expect(parsed(registryLimitsOption(), "--registry-limits", "watches=5")).toEqual({
      ...defaults,
      watches: 5,
    });
  });

  test.each(["connections=1", "idleMs", "idleMs=0", "idleMs=-1", "idleMs=1.5", "idleMs=4294967296"])(
    "refuse %j, naming what is allowed",
    (text) => {
      expect(() => parsed(limitsOption(), "--limits", text)).toThrow(
        `"${text}" is not a limit. Allowed is NAME=NUMBER with a NAME of connectionsPerPeer, `,
      );
    },
  );
});
