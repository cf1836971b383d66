import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The checkout whose pages are read. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** What a reader pastes: commands into a shell (`sh`), or a file (`ts`). */
export interface Block {
  readonly kind: "sh" | "ts";
  readonly text: string;
}

/** The blocks of a page in order, with `here` in place of the directory that the page uses. */
export function blocksOf(page: string, there: string, here: string): readonly Block[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(sh|ts)\n([^]*?)^```$/gm)].map(([, kind, block]) => ({
    kind: kind as Block["kind"],
    text: block!.replaceAll(there, here),
  }));
}

/** An empty project in `folder`, and an `npm` that installs this checkout instead of packages from the registry. */
export function emptyProject(folder: string): { readonly project: string; readonly npm: string } {
  const project = join(folder, "project");
  const modules = join(project, "node_modules");
  const nsmctl = join(modules, ".bin/nsmctl");
  const link = (name: string): string =>
    `mkdir -p ${dirname(join(modules, name))}; ln -sfn ${join(root, "node_modules", name)} ${join(modules, name)}`;
  const npm = `npm() {
    case "$*" in
    "install nsm-sdk")
      mkdir -p ${modules}/.bin; ln -s ${root} ${modules}/nsm-sdk
      printf '#!/bin/sh\\nexec ${process.execPath} ${root}/dist/cli/main.js "$@"\\n' >${nsmctl}; chmod +x ${nsmctl};;
    "install --save-dev typescript @types/node vitest")
      ${["typescript", "@types/node", "vitest", ".bin/tsc", ".bin/vitest"].map(link).join("\n      ")};;
    *) command npm "$@";;
    esac
  }`;
  mkdirSync(project);
  return { project, npm };
}

/** A `ping` for machines without one, at the end of the PATH. */
export function pingCommand(folder: string): string {
  const script = join(folder, "ping.mjs");
  const linux = pathToFileURL(join(root, "dist/linux/index.js")).href;
  writeFileSync(
    script,
    `import { openNamespace, ping } from ${JSON.stringify(linux)};
     const [, count, to] = process.argv.slice(2);
     const namespace = openNamespace("/proc/self/ns/net");
     const { received } = await ping({ namespace, to, count: Number(count) });
     console.log(\`\${received} received\`);`,
  );
  const command = join(folder, "ping");
  writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${script} "$@"\n`);
  chmodSync(command, 0o755);
  return `export PATH="$PATH:${folder}"`;
}
