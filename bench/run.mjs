// `npm run bench`: compares the build in dist with the Go stack and the bare kernel. The TypeScript sources
// beside this file are loaded through a hook, so that nothing is built twice.
import { existsSync } from "node:fs";
import { register } from "node:module";

if (!existsSync(new URL("../dist/cli/main.js", import.meta.url))) {
  process.stderr.write('dist/cli/main.js is missing: run "npm run build" first\n');
  process.exit(1);
}
register("./typescript-hooks.mjs", import.meta.url);
const { main } = await import("./main.ts");
process.exitCode = await main(process.argv.slice(2));
