import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { controlPlane } from "./control-plane.js";
import { dataPlane } from "./data-plane.js";
import { table, type Section } from "./report.js";

const sections: readonly { readonly name: string; measure(quick: boolean): Promise<Section> }[] = [
  { name: "insecure", measure: (quick) => controlPlane("insecure", quick) },
  { name: "mutual-tls", measure: (quick) => controlPlane("mutual TLS", quick) },
  { name: "data-plane", measure: dataPlane },
];

/** `npm run bench -- [--json] [--quick] [NAME…]`: prints the figures as Markdown, or as one JSON object. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean" }, quick: { type: "boolean" } },
    allowPositionals: true,
  });
  const names = sections.map(({ name }) => name);
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    process.stderr.write(`"${unknown}" is not measured here: allowed are ${names.join(", ")}\n`);
    return 2;
  }
  const machine = {
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    node: process.version,
    // Other load affects the figures: on a busy machine, only their ratios are meaningful.
    loadBefore: loadavg()[0]!,
  };
  const began = performance.now();
  const measured: Section[] = [];
  for (const { name, measure } of sections) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    process.stderr.write(`${name}…\n`);
    measured.push(await measure(values.quick ?? false));
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, seconds, sections: measured })}\n`);
    return 0;
  }
  const { cores, memoryGb, node, loadBefore } = machine;
  process.stdout.write(
    `${cores} cores, ${memoryGb} GB, Node ${node}, load ${loadBefore.toFixed(1)} before, ${seconds} s\n\n` +
      measured.map(table).join("\n"),
  );
  return 0;
}
