import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseRules } from "../../src/elements/firewall/index.js";
import { describe, expect, test } from "vitest";

const file = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const main = readFileSync(file("examples/cnf-firewall/main.ts"), "utf8");

describe("examples/cnf-firewall", () => {
  test("is a page of code that needs nothing but this package", () => {
    const imported = [...main.matchAll(/from "([^"]+)"/g)].map(([, name]) => name!);
    expect(imported.filter((name) => !/^(nsm-sdk(\/|$)|node:)/.test(name))).toEqual([]);
    expect(main.split("\n").length).toBeLessThanOrEqual(60);
  });

  test("comes with rules that make sense", () => {
    const rules = readFileSync(file("examples/cnf-firewall/rules.yaml"), "utf8");
    expect(parseRules(rules).rules.map(({ name }) => name)).toEqual(["ping", "web", "database"]);
  });

  test("is what its tutorial shows", () => {
    const tutorial = readFileSync(file("docs/tutorial-firewall.md"), "utf8");
    const shown = [...tutorial.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!.trim());
    expect(shown.length).toBeGreaterThan(3);
    const normal = (code: string) => code.replace(/\s+/g, " ");
    expect(shown.filter((code) => !normal(main).includes(normal(code)))).toEqual([]);
    const rules = readFileSync(file("examples/cnf-firewall/rules.yaml"), "utf8");
    expect(tutorial).toContain(rules);
  });
});
