// `npm run demo`: installs, builds and runs the demo on a machine that has only Node and npm. Arguments go to
// `nsmctl demo`. What installing and building print goes to stderr: with --json stdout is one object. What is
// there and newer than its sources is not made again.
import { spawn } from "node:child_process";
import { readdirSync, rmSync, statSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const main = "dist/cli/main.js";

/** Runs a command to its end. Signals are passed on: it cleans up, and this process waits for that. */
function run(command, args, stdio) {
  const child = spawn(command, args, { cwd: root, stdio });
  const passOn = (signal) => child.kill(signal);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, passOn);
  return new Promise((resolve) => {
    child.once("error", (error) => {
      process.stderr.write(`cannot run ${command}: ${error.message}\n`);
      resolve(127);
    });
    child.once("close", (code, signal) => {
      for (const name of signals) process.off(name, passOn);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** When a file changed last, or the newest file of a folder; 0 when there is none. */
function changed(path) {
  const stat = statSync(join(root, path), { throwIfNoEntry: false });
  if (!stat) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(...readdirSync(join(root, path)).map((name) => changed(join(path, name))));
}

async function prepared() {
  if (changed("node_modules/.package-lock.json") < changed("package-lock.json")) {
    process.stderr.write("installing what it needs from the npm registry…\n");
    const install = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
    const status = await run("npm", install, ["ignore", 2, 2]);
    if (status !== 0) return status;
  }
  const sources = ["src", "package.json", "tsconfig.json", "tsconfig.build.json"];
  if (changed(main) < Math.max(...sources.map(changed))) {
    process.stderr.write("building…\n");
    const status = await run("npm", ["--silent", "run", "build"], ["ignore", 2, 2]);
    // A broken build must not pass for one the next time.
    if (status !== 0) rmSync(join(root, "dist"), { recursive: true, force: true });
    return status;
  }
  return 0;
}

const status = await prepared();
process.exitCode =
  status === 0 ? await run(process.execPath, [main, "demo", ...process.argv.slice(2)], "inherit") : status;
