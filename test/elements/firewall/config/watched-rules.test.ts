import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, explain, type NsmError } from "../../../../src/core/index.js";
import { watchedRules, type RulesSource } from "../../../../src/elements/firewall/index.js";
import { firstValueFrom } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const web = "- { name: web, action: allow, protocol: tcp, ports: 80 }\n";
const mail = "- { name: mail, action: allow, protocol: tcp, ports: 25 }\n";

let directory: string;
let file: string;
let source: RulesSource;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "rules-"));
  file = join(directory, "rules.yaml");
  await writeFile(file, web);
  source = await watchedRules(file);
});
afterEach(async () => {
  source.close();
  await rm(directory, { recursive: true });
});

const names = ({ rules }: { rules: readonly { name: string }[] }) => rules.map(({ name }) => name);

/** The names of the rules after the next change. */
const changed = async () => names(await firstValueFrom(source.changes));
const refused = async () => explain(await firstValueFrom(source.refusals));

describe("rules of a file", () => {
  test.each<[string, () => Promise<void>]>([
    ["written in place", () => writeFile(file, web + mail)],
    [
      "renamed over",
      async () => {
        await writeFile(`${file}~`, web + mail);
        await rename(`${file}~`, file);
      },
    ],
    [
      "deleted and made anew",
      async () => {
        await rm(file);
        await writeFile(file, web + mail);
      },
    ],
  ])("follow it when it is %s", async (_how, change) => {
    expect(names(source.current())).toEqual(["web"]);
    const next = changed();
    await change();
    expect(await next).toEqual(["web", "mail"]);
    expect(names(source.current())).toEqual(["web", "mail"]);
  });

  test("follow it through a replaced symlink, as in Kubernetes volumes", async () => {
    source.close();
    for (const [version, text] of Object.entries({ one: web, two: mail })) {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, "config.yaml"), text);
    }
    await symlink("one", join(directory, "..data"));
    await symlink("..data/config.yaml", join(directory, "config.yaml"));
    source = await watchedRules(join(directory, "config.yaml"));
    expect(names(source.current())).toEqual(["web"]);
    const next = changed();
    await symlink("two", join(directory, "..tmp"));
    await rename(join(directory, "..tmp"), join(directory, "..data"));
    expect(await next).toEqual(["mail"]);
  });

  test("follow it when it is written in another directory that a symlink points to", async () => {
    source.close();
    const elsewhere = join(directory, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "rules.yaml"), web);
    await rm(file);
    await symlink("elsewhere/rules.yaml", file);
    source = await watchedRules(file);
    // The check after the start may still find the first change. The second change is detected only by an
    // event.
    for (const [text, expected] of [
      [web + mail, ["web", "mail"]],
      [mail, ["mail"]],
    ] as const) {
      const next = changed();
      await writeFile(join(elsewhere, "rules.yaml"), text);
      expect(await next).toEqual(expected);
    }
  });

  test("stay the same when it becomes invalid, which is reported once", async () => {
    const problems: string[] = [];
    source.refusals.subscribe((problem: NsmError) => problems.push(explain(problem)));
    let next = refused();
    await writeFile(file, `${web}- { name: web, action: allow }\n`);
    expect(await next).toBe(`${file}:2: rule "web": name: rule 1 has the same name`);
    await writeFile(file, `${web}- { name: web, action: allow }\n`);
    next = refused();
    await truncate(file);
    expect(await next).toBe(`${file}:1: no rules: write [] to allow everything`);
    next = refused();
    await rm(file);
    expect(await next).toBe(`cannot read the rules in ${file}: no such file or directory (ENOENT)`);
    expect(problems).toHaveLength(3);
    expect(names(source.current())).toEqual(["web"]);
  });

  test("are empty for an explicit empty list", async () => {
    const next = changed();
    await writeFile(file, "[]");
    expect(await next).toEqual([]);
  });

  test("fail at the start if it is missing or invalid", async () => {
    await expect(watchedRules(join(directory, "none.yaml"))).rejects.toMatchObject({ code: Code.NotFound });
    await writeFile(file, "- nonsense");
    await expect(watchedRules(file)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining(`${file}:1: rule 1`),
    });
  });

  test("are not updated after close()", async () => {
    let completed = 0;
    source.changes.subscribe({ complete: () => completed++ });
    source.refusals.subscribe({ complete: () => completed++ });
    source.close();
    expect(completed).toBe(2);
  });
});
