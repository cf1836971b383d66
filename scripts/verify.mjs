// `npm run verify`: everything that decides whether a checkout is good, in the order that fails fastest.
// What cannot run on this machine is listed by name at the end; with CI=true that is a failure.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const ci = process.env.CI === "true";
const scratch = mkdtempSync(join(tmpdir(), "nsm-verify-"));
const missing = [];
let passed = 0;
let failed = 0;

function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", ...options });
    child.on("error", () => resolve(127));
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

const has = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

/** A step that is right or wrong as a whole. */
async function step(title, command, args, options) {
  const started = Date.now();
  process.stdout.write(`\n== ${title}\n`);
  const code = await run(command, args, options);
  if (code === 0) passed++;
  else failed++;
  process.stdout.write(
    `== ${title}: ${code === 0 ? "ok" : `failed (exit ${code})`}, ${seconds(started)} s\n`,
  );
  return code === 0;
}

/** A vitest project: every test counts by itself. `prefix` runs it under another program. */
async function tests(title, project, prefix = []) {
  const started = Date.now();
  const report = join(scratch, `${title.replace(/\W+/g, "-")}.json`);
  process.stdout.write(`\n== ${title}\n`);
  const [command, ...args] = [
    ...prefix,
    join(root, "node_modules/.bin/vitest"),
    ...["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
  ];
  const code = await run(command, args);
  if (!existsSync(report)) {
    failed++;
    process.stdout.write(`== ${title}: did not run (exit ${code})\n`);
    return;
  }
  const result = JSON.parse(readFileSync(report, "utf8"));
  passed += result.numPassedTests;
  // A file that does not load, or an unhandled error, fails the run without failing a test.
  failed += Math.max(result.numFailedTests, code === 0 ? 0 : 1);
  for (const file of result.testResults) {
    for (const test of file.assertionResults) {
      if (test.status !== "passed" && test.status !== "failed") missing.push(`${title}: ${test.fullName}`);
    }
  }
  process.stdout.write(
    `== ${title}: ${result.numPassedTests} passed, ${result.numFailedTests} failed, ${seconds(started)} s\n`,
  );
}

const seconds = (since) => ((Date.now() - since) / 1000).toFixed(1);

await step("install", "npm", ["ci", "--no-audit", "--no-fund"]);
if (failed === 0) {
  await step("generated messages are up to date", "node", ["scripts/check-generated.mjs"]);
  await step("types", "npm", ["run", "--silent", "typecheck"]);
  await step("lint", "npm", ["run", "--silent", "lint"]);
  await step("build", "npm", ["run", "--silent", "build"]);
  await step("documentation", "npm", ["run", "--silent", "docs"]);
  await step("the packed package", "node", ["scripts/check-package.mjs"]);
  await tests("unit tests", "unit");

  const namespaces = has("unshare", "-Urn", "true");
  const privileged = process.getuid?.() === 0 && has("unshare", "-n", "true");
  if (privileged) await tests("network namespaces, as root", "netns");
  else missing.push("network namespaces, as root: this user may not make network namespaces");
  if (namespaces) await tests("network namespaces, in a user namespace", "netns", ["unshare", "-Urnm"]);
  else missing.push("network namespaces, in a user namespace: user namespaces are forbidden here");

  const loopback = ["unshare", "-Urnm", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'];
  if (!has("go", "version")) missing.push("Go peers: the go command is not installed");
  else if (privileged || namespaces) await tests("Go peers", "interop", privileged ? [] : loopback);
  else missing.push("Go peers: neither root nor user namespaces");
  if (privileged || namespaces) await tests("scenarios", "scenarios", privileged ? [] : ["unshare", "-Urnm"]);
  else missing.push("scenarios: neither root nor user namespaces");
}
rmSync(scratch, { recursive: true, force: true });

if (missing.length > 0) {
  process.stdout.write(`\nNot run here:\n${missing.map((name) => `  ${name}\n`).join("")}`);
  if (ci) failed += missing.length;
}
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
