import type { Section } from "./main.js";

/** What was measured, ours, the peer's. */
export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly peer: number | undefined;
}

/** A section as a Markdown table, with the ratio of ours to the peer's. */
export function table({ title, columns, rows }: Section): string {
  const lines = rows.map(
    ({ what, ours, peer }) =>
      `| ${what} | ${figure(ours)} | ${peer === undefined ? "" : figure(peer)} | ${peer ? figure(ours / peer) : ""} |`,
  );
  return `## ${title}\n\n| ${["", ...columns, "ratio"].join(" | ")} |\n| --- | ---: | ---: | ---: |\n${lines.join("\n")}\n`;
}

function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
