// Packs the package, installs it into an empty project and imports every subpath once, as a user would.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "nsm-package-"));
try {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  execFileSync(
    "npm",
    ["install", "--no-audit", "--no-fund", "--prefer-offline", join(project, packed.filename)],
    {
      cwd: project,
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  const subpaths = [...importable()];
  const script = subpaths.map((path) => `await import(${JSON.stringify(path)});`).join("\n");
  writeFileSync(join(project, "imports.mjs"), script);
  execFileSync("node", ["imports.mjs"], { cwd: project, stdio: ["ignore", "inherit", "inherit"] });
  execFileSync(join(project, "node_modules/.bin/nsmctl"), ["--help"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  process.stdout.write(`${subpaths.length} subpaths import from the packed package\n`);
} finally {
  rmSync(project, { recursive: true, force: true });
}

/** Every subpath that the exports map offers: the plain ones, and each folder behind a `*`. */
function* importable() {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const [subpath, { default: target }] of Object.entries(exports)) {
    if (subpath.includes("*")) {
      const [base, rest] = target.split("*");
      for (const folder of folders(join(root, base))) {
        if (readdirSync(join(root, base, folder)).includes(rest.slice(1))) {
          yield subpath.replace(".", "nsm-sdk").replace("*", folder);
        }
      }
    } else if (subpath !== "./testing") {
      // The test kit needs vitest, which a user installs beside it.
      yield subpath.replace(".", "nsm-sdk");
    }
  }
}

function* folders(base, inside = "") {
  for (const entry of readdirSync(join(base, inside), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = inside ? `${inside}/${entry.name}` : entry.name;
    yield path;
    yield* folders(base, path);
  }
}
