import { preflight, type PreflightCheck } from "../../../src/linux/index.js";
import { leftovers } from "../../../src/testing/netns/index.js";
import { expect, test } from "vitest";
import { runChild } from "./child.js";

test("preflight finds everything where it can be used, and leaves nothing behind", async () => {
  const remaining = await leftovers();
  const checks = await preflight();
  expect(checks.map(({ what, ok }) => [what, ok])).toEqual([
    ["native module", true],
    ["network namespaces", true],
    ["veth links", true],
    ["nftables", true],
    ["ping", true],
  ]);
  expect(await remaining()).toEqual([]);
});

test("preflight without privilege names it once, and whether user namespaces are a way around", async () => {
  const prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
  const { stdout, stderr } = await runChild("preflight", { prefix });
  expect(stderr).toBe("");
  const [module, namespaces, ...others] = JSON.parse(stdout) as PreflightCheck[];
  expect(module).toMatchObject({ what: "native module", ok: true });
  expect(namespaces).toMatchObject({
    what: "network namespaces",
    ok: false,
    detail: expect.stringMatching(/lacks CAP_SYS_ADMIN/),
    remedy: expect.stringMatching(/--cap-add SYS_ADMIN.*unshare -Urn/),
  });
  const untried = others.filter(({ what }) => what !== "user namespaces");
  expect(untried.map(({ what, ok }) => [what, ok])).toEqual([
    ["veth links", false],
    ["nftables", false],
    ["ping", false],
  ]);
  for (const { detail, remedy } of untried)
    expect([detail, remedy]).toEqual([expect.stringMatching(/not tried/), namespaces!.remedy]);
  const user = others.at(-1)!;
  expect(user.what).toBe("user namespaces");
  expect(user.ok ? user.detail : user.remedy).toMatch(/unshare|sysctl/);
});
