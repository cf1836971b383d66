// Packs the package, installs it into an empty project and uses it there as a user would: imports every subpath,
// runs the command line tool, and type-checks a program of its own against the packed types.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const project = mkdtempSync(join(tmpdir(), "nsm-package-"));
const write = (name, content) => writeFileSync(join(project, name), content);
const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: project, stdio: ["ignore", "ignore", "inherit"], ...options });

const program = `
import { randomUUID } from "node:crypto";
import { chain, Code, connectionState, Context, NsmError, updatePath, type NetworkServiceElement } from "nsm-sdk";
import { roundRobin } from "nsm-sdk/elements/round-robin";
import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
import { recorder, run } from "nsm-sdk/testing";

const quota: NetworkServiceElement = {
  name: "quota",
  request: (ctx, request, next) => next.request(ctx, request),
  close: async () => {
    throw new NsmError(Code.ResourceExhausted, randomUUID());
  },
};
export const service = chain([updatePath({ name: "nse" }), connectionState(), quota, roundRobin()]);
export const tested = run([quota, recorder()]).leftovers();
export const ctx: Context = Context.background();
export const store = [memoryEndpoints()];
`;

const strict = {
  strict: true,
  module: "NodeNext",
  target: "ES2022",
  lib: ["ES2023"],
  types: ["node"],
  skipLibCheck: false,
  noEmit: true,
};

try {
  const [packed] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  write("package.json", JSON.stringify({ private: true, type: "module" }));
  // What a user of TypeScript has besides; vitest is not among it.
  const types = `@types/node@${manifest.devDependencies["@types/node"]}`;
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${packed.filename}`, types]);

  const subpaths = [...importable()];
  write("imports.mjs", subpaths.map((path) => `await import(${JSON.stringify(path)});`).join("\n"));
  run("node", ["imports.mjs"], { stdio: ["ignore", "inherit", "inherit"] });
  process.stdout.write(`${subpaths.length} subpaths import from the packed package\n`);

  for (const bin of Object.keys(manifest.bin)) run(join(project, "node_modules/.bin", bin), ["--help"]);

  // Every subpath once more for its types, and no leniency towards declaration files.
  const all = subpaths.map((path, i) => `import type * as _${i} from ${JSON.stringify(path)};`).join("\n");
  write("program.ts", program);
  write(
    "all.ts",
    `${all}\nexport type All = [${subpaths.map((_, i) => `keyof typeof _${i}`).join(", ")}];\n`,
  );
  write("tsconfig.json", JSON.stringify({ compilerOptions: strict, include: ["*.ts"] }));
  run("node", [join(root, "node_modules/typescript/bin/tsc"), "-p", "."], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.stdout.write("a program type-checks against the packed types\n");
} catch (error) {
  // What failed has spoken for itself.
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(project, { recursive: true, force: true });
}

/** Every subpath that the exports map offers: the plain ones, and each folder behind a `*`. */
function* importable() {
  for (const [subpath, { default: target }] of Object.entries(manifest.exports)) {
    if (subpath.includes("*")) {
      const [base, rest] = target.split("*");
      for (const folder of folders(join(root, base))) {
        if (readdirSync(join(root, base, folder)).includes(rest.slice(1))) {
          yield subpath.replace(".", "nsm-sdk").replace("*", folder);
        }
      }
    } else {
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
