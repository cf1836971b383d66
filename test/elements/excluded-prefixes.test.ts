import { mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { IPContext, type Connection } from "../../src/api/index.js";
import { Context, logger } from "../../src/core/index.js";
import { excludedPrefixesServer } from "../../src/elements/excluded-prefixes/index.js";
import { describeElement, run, virtualClock } from "../../src/testing/index.js";

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "excluded-prefixes-"));
  file = join(dir, "excluded_prefixes.yaml");
});
afterEach(() => rm(dir, { recursive: true }));

describeElement("excluded-prefixes/server", () => excludedPrefixesServer({ file }));

describe("excluded-prefixes/server", () => {
  function manager() {
    const warnings: object[] = [];
    const clock = virtualClock();
    const ctx = Context.background({ clock }).with(logger, {
      debug() {},
      info() {},
      error() {},
      warn: (fields) => void warnings.push(fields),
    });
    const { request } = run([excludedPrefixesServer({ file })], { clock, ctx });
    const excluded = async (patch?: Partial<Connection>) =>
      (await request(patch)).context!.ipContext!.excludedPrefixes;
    return { excluded, warnings };
  }
  const write = (...prefixes: string[]) => writeFile(file, `prefixes: [${prefixes.join(", ")}]\n`);

  test("adds the file's prefixes to the request's, each once, merged and in order", async () => {
    await write("fd00::/64", "10.0.1.0/24", "10.0.0.0/24", "172.16.0.0/12");
    const { excluded } = manager();
    const ipContext = IPContext.create({ excludedPrefixes: ["192.168.0.0/16", "172.16.0.0/12"] });
    const context = {
      ipContext,
      dnsContext: undefined,
      ethernetContext: undefined,
      extraContext: {},
      MTU: 0,
    };
    expect(await excluded({ context })).toEqual([
      "192.168.0.0/16",
      "172.16.0.0/12",
      "10.0.0.0/23",
      "fd00::/64",
    ]);
  });

  test("follows a file that is created, replaced and deleted", async () => {
    const { excluded, warnings } = manager();
    expect(await excluded()).toEqual([]);
    await write("10.0.0.0/8");
    expect(await excluded()).toEqual(["10.0.0.0/8"]);
    await write("10.0.0.0/8", "172.16.0.0/12");
    expect(await excluded()).toEqual(["10.0.0.0/8", "172.16.0.0/12"]);
    await writeFile(file, "");
    expect(await excluded()).toEqual([]);
    await write("10.0.0.0/8");
    await rm(file);
    expect(await excluded()).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test("Requests that arrive while the file is read wait for its content", async () => {
    await write("10.0.0.0/8");
    const { excluded } = manager();
    const answers = await Promise.all(["a", "b", "c"].map((id) => excluded({ id })));
    expect(answers).toEqual([["10.0.0.0/8"], ["10.0.0.0/8"], ["10.0.0.0/8"]]);
  });

  test("detects a replaced symlink", async () => {
    await writeFile(join(dir, "one"), "prefixes: [10.0.0.0/8]");
    await writeFile(join(dir, "two"), "prefixes: [11.0.0.0/8]");
    await symlink("one", file);
    const { excluded } = manager();
    expect(await excluded()).toEqual(["10.0.0.0/8"]);
    await symlink("two", join(dir, "next"));
    await rename(join(dir, "next"), file);
    expect(await excluded()).toEqual(["11.0.0.0/8"]);
  });

  test.each(["prefixes: [10.0.0.0/33]", "prefixes: 10.0.0.0/8", "prefixes: [1, 2]", "prefixes: [", "- a"])(
    "a bad file (%s) leaves the earlier prefixes in force and is reported once",
    async (text) => {
      await write("10.0.0.0/8");
      const { excluded, warnings } = manager();
      await excluded();
      await writeFile(file, text);
      expect(await excluded()).toEqual(["10.0.0.0/8"]);
      expect(await excluded()).toEqual(["10.0.0.0/8"]);
      expect(warnings).toMatchObject([{ file }]);
      await write("11.0.0.0/8");
      expect(await excluded()).toEqual(["11.0.0.0/8"]);
    },
  );
});
