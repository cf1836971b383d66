// The messages in the tree are what buf makes of proto/ today. What it makes stays, to be looked at and committed.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const generated = join(root, "src/api/generated");

function contents() {
  const files = readdirSync(generated, { recursive: true }).filter((file) => file.endsWith(".ts"));
  return new Map(files.map((file) => [file, readFileSync(join(generated, file), "utf8")]));
}

const before = contents();
const { status } = spawnSync("npm", ["run", "--silent", "generate"], { cwd: root, stdio: "inherit" });
const after = contents();
const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
  (file) => before.get(file) !== after.get(file),
);
if (status !== 0 || changed.length > 0) {
  const what = status === 0 ? `changes ${changed.join(", ")}` : `ends with ${status}`;
  process.stderr.write(`npm run generate ${what}\n`);
  process.exitCode = 1;
}
