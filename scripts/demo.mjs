// `npm run demo`: installs, builds and runs the demo on a machine that has only Node and npm. Arguments go to
// `nsmctl demo`. What installing and building print goes to stderr: with --json stdout is one object.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = (command, args, stdio) => spawnSync(command, args, { cwd: root, stdio }).status ?? 1;

for (const args of [
  ["ci", "--no-audit", "--no-fund"],
  ["run", "build"],
]) {
  const status = run("npm", ["--silent", ...args], ["ignore", 2, 2]);
  if (status !== 0) process.exit(status);
}
process.exitCode = run("node", ["dist/cli/main.js", "demo", ...process.argv.slice(2)], "inherit");
