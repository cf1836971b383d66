import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blocksOf, emptyProject, pingCommand, root } from "./reader.js";
import { Terminal } from "./terminal.js";

let folder: string;
/** Where this test has what the pages have in /tmp. */
let here: string;
let terminal: Terminal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-pages-"));
  here = join(folder, "mesh");
});
afterEach(async () => {
  await terminal.close();
  rmSync(folder, { recursive: true, force: true });
});

function commands(page: string, there: string): readonly string[] {
  return blocksOf(page, there, here).flatMap(({ kind, text }) => (kind === "sh" ? [text] : []));
}

describe("README.md", () => {
  test("its commands work as pasted, from npm install to the end of the last process", async () => {
    const { project, npm } = emptyProject(folder);
    terminal = new Terminal({ folder, cwd: project, prelude: `${npm}\n${pingCommand(folder)}` });
    const blocks = commands("README.md", "/tmp/nsm");
    const [install, certs, mesh, ends, pings, kill, sixth, stop, ...more] = blocks;
    expect(more).toEqual([]);

    expect(await terminal.paste(install!)).toMatch(/all checks passed/);
    expect(await terminal.paste(certs!)).toContain("/mesh/nsc");
    await terminal.paste(mesh!);
    await terminal.paste(ends!);
    await terminal.prints('"event":"established"');
    expect(await terminal.paste(pings!)).toMatch(/\b3 received/);
    await terminal.paste(kill!);
    await terminal.prints('"event":"healing"');
    await terminal.prints('"event":"updated"');
    expect(await terminal.paste(pings!)).toMatch(/\b3 received/);
    await terminal.paste(sixth!);
    await terminal.prints('"event":"established"', 2);
    await terminal.paste(stop!);
    await terminal.prints('"event":"closed"', 2);

    expect(terminal.output).not.toMatch(/FAILED: |command not found/);
    expect(existsSync(here)).toBe(false);
  });
});

describe("docs/tutorial-firewall.md", () => {
  test("its commands work as pasted, and print what the page shows", async () => {
    // The checkout is installed and built already.
    terminal = new Terminal({ folder, cwd: root, prelude: "npm() { :; }" });
    const compiled = join(root, "examples/cnf-firewall/dist");
    const blocks = commands("docs/tutorial-firewall.md", "/tmp/tutorial");
    const [build, certs, mesh, ends, packets, counters, allow, mistake, stop, ...more] = blocks;
    expect(more).toEqual([]);
    try {
      await terminal.paste(build!);
      await terminal.paste(certs!);
      await terminal.paste(mesh!);
      await terminal.paste(ends!);
      await terminal.prints('"event":"established"');
      expect(await terminal.paste(packets!)).toMatch(/^port 80\nno answer$/m);
      await terminal.paste(counters!);
      await terminal.prints('{"name":"database","action":"deny","packets":');
      await terminal.paste(allow!);
      await terminal.prints('{"event":"rules","rules":3}');
      const again = packets!.split("\n").find((line) => line.includes("5432'"))!;
      expect(await terminal.paste(again)).toMatch(/^port 5432$/m);
      await terminal.paste(mistake!);
      await terminal.prints('"event":"rules-refused"');
      await terminal.paste(stop!);
      await terminal.prints('"event":"closed"');
    } finally {
      rmSync(compiled, { recursive: true, force: true });
    }
    expect(terminal.output).not.toMatch(/FAILED: |command not found/);
    expect(existsSync(join(folder, "mesh"))).toBe(false);
  });
});

describe("docs/containers.md", () => {
  test("its commands work as pasted, and every container gets its own interface", async () => {
    const { project, npm } = emptyProject(folder);
    terminal = new Terminal({ folder, cwd: project, prelude: `${npm}\n${pingCommand(folder)}` });
    await terminal.paste("npm install nsm-sdk\n");
    const blocks = commands("docs/containers.md", "/tmp/nsm");
    const [words, mesh, ends, pings, stop, ...more] = blocks;
    expect(more).toEqual([]);
    const before = networkInterfaces();

    await terminal.paste(words!);
    await terminal.paste(mesh!);
    await terminal.paste(ends!);
    await terminal.prints('"event":"established"');
    expect(await terminal.paste(pings!)).toMatch(/\b3 received/);
    expect(Object.keys(networkInterfaces())).toEqual(Object.keys(before));
    await terminal.paste(stop!);
    await terminal.prints('"event":"closed"');

    expect(terminal.output).not.toMatch(/"event":"healing"/);
    expect(terminal.output).not.toMatch(/FAILED: |command not found/);
    expect(existsSync(here)).toBe(false);
  });
});

describe("docs/writing-an-element.md", () => {
  test("each block works as pasted in an empty project, step by step", { timeout: 600_000 }, async () => {
    const { project, npm } = emptyProject(folder);
    terminal = new Terminal({ folder, cwd: project, prelude: npm });
    mkdirSync(here);
    const check = "npx tsc --noEmit\n";
    const printed: string[] = [];
    for (const { kind, text } of blocksOf("docs/writing-an-element.md", "/tmp/quota", here)) {
      if (kind === "ts") {
        const [, file] = /^\/\/ (\S+)\n/.exec(text)!;
        writeFileSync(join(project, file!), text);
        expect(await terminal.paste(check)).not.toMatch(/error|FAILED/);
      } else if (text !== check) {
        printed.push(await terminal.paste(text));
        if (text.includes("NSC=$!")) {
          await terminal.prints('"event":"established"', 2);
          await terminal.prints("nsc has 2 connections, 2 are allowed");
        }
      }
    }
    expect(printed.join()).toMatch(/Test Files +1 passed/);
    await terminal.prints('"event":"closed"', 2);
    expect(terminal.output).not.toMatch(/FAILED: |command not found/);
  });
});
