// `npm run bench`: figures of what is built in dist, next to the Go stack and to the bare kernel in the same run.
// The sources beside this file are TypeScript; they are read through a hook, so that nothing is built twice.
import { existsSync } from "node:fs";
import { register } from "node:module";

if (!existsSync(new URL("../dist/cli/main.js", import.meta.url))) {
  process.stderr.write('dist/cli/main.js is missing: run "npm run build" first\n');
  process.exit(1);
}
register("./typescript-hooks.mjs", import.meta.url);
const { main } = await import("./main.ts");
process.exitCode = await main(process.argv.slice(2));
