import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { controlPlane } from "./control-plane.js";
import { dataPlane } from "./data-plane.js";
import { table, type Row } from "./table.js";

/** A heading and what stands under it. */
export interface Section {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

/** `npm run bench [-- --json] [-- --quick]`: prints the figures as Markdown, or as one object. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean" }, quick: { type: "boolean" } },
  });
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const sections: Section[] = [];
  for (const security of ["insecure", "mutual TLS"] as const) {
    say(`control plane, ${security} …`);
    sections.push(await controlPlane(security, values.quick ?? false));
  }
  say("data plane …");
  sections.push(await dataPlane(values.quick ?? false));

  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, sections })}\n`);
  } else {
    process.stdout.write(`${machine}\n\n${sections.map(table).join("\n")}`);
  }
  return 0;
}
