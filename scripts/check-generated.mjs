// The committed messages are what buf makes of proto/ today.
import { spawnSync } from "node:child_process";

const git = (...args) => spawnSync("git", args, { encoding: "utf8" });
const before = git("status", "--porcelain", "src/api/generated").stdout;
if (before) {
  process.stderr.write(`src/api/generated has changes that are not committed:\n${before}`);
  process.exit(1);
}
const generate = spawnSync("npm", ["run", "--silent", "generate"], { stdio: "inherit" });
const diff = git("status", "--porcelain", "src/api/generated").stdout;
if (generate.status !== 0 || diff) {
  process.stderr.write(`npm run generate changes what is committed:\n${diff}`);
  process.exit(1);
}
