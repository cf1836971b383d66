import { describe, expect, test } from "vitest";
import { Checks } from "../../../../src/cli/demo/report/checks.js";
import { checkNames } from "../../../../src/cli/demo/report/check-names.js";
import { silentScreen, verdict } from "../../../../src/cli/demo/report/screen.js";

function checksUntil(until = new AbortController().signal): Checks {
  return new Checks({ until, observer: silentScreen });
}

describe("the checks of a demo", () => {
  test("report result, duration and detail", async () => {
    const checks = checksUntil();
    const result = await checks.run("certificates", async (say) => {
      say("six of them");
      return 6;
    });
    expect(result).toBe(6);
    expect(checks.tried).toEqual([
      { name: "certificates", ok: true, ms: expect.any(Number), detail: "six of them" },
    ]);
  });

  test("take down why one failed, and hand the error on", async () => {
    const checks = checksUntil();
    const error = new Error("no mesh", { cause: new Error("the port is taken") });
    await expect(checks.run("mesh started", () => Promise.reject(error))).rejects.toBe(error);
    expect(checks.tried[0]).toMatchObject({ ok: false, detail: "no mesh: the port is taken" });
  });

  test("count those of the plan that were never reached as failed, with the reason", async () => {
    const checks = checksUntil();
    await expect(checks.run("preflight", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const all = checks.all();
    expect(all.map(({ name }) => name)).toEqual(checkNames);
    expect(all.every(({ ok }) => !ok)).toBe(true);
    expect(all[1]).toEqual({
      name: checkNames[1],
      ok: false,
      ms: 0,
      detail: 'not run: "preflight" failed',
    });
  });

  test("name what ended the demo when it was no check", () => {
    const checks = checksUntil();
    checks.endedBy(new Error("no space left"));
    checks.endedBy(new Error("and then"));
    expect(checks.all()[0]!.detail).toBe("not run: no space left");
  });

  test("end with the signal while one is under way, but for those that clean up", async () => {
    const over = new AbortController();
    const checks = checksUntil(over.signal);
    const endless = checks.run("mesh started", () => new Promise(() => {}));
    over.abort(new Error("interrupted"));
    await expect(endless).rejects.toThrow("interrupted");
    await expect(checks.run("client started", () => Promise.resolve())).rejects.toThrow("interrupted");
    await expect(checks.runRegardless("nothing left behind", () => Promise.resolve(1))).resolves.toBe(1);
  });
});

describe("the verdict", () => {
  test("is that all passed when all did", async () => {
    const checks = checksUntil();
    for (const name of checkNames) await checks.run(name, () => Promise.resolve());
    expect(verdict(checks, 4.25)).toEqual(["", `${checkNames.length} checks in 4.3 s`, "all checks passed"]);
  });

  test("ends with what failed and why, after what was not run", async () => {
    const checks = checksUntil();
    for (const name of checkNames.slice(0, -2)) await checks.run(name, () => Promise.resolve());
    await checks.run(checkNames.at(-1)!, () => Promise.reject(new Error("a file is left"))).catch(() => {});
    expect(verdict(checks, 1).slice(-2)).toEqual([
      `not run ("${checkNames.at(-1)}" failed): ${checkNames.at(-2)}`,
      `failed: ${checkNames.at(-1)}: a file is left`,
    ]);
  });
});
