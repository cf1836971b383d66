/** A heading and its rows. */
export interface Section {
  readonly title: string;
  /** Column titles: this project, and what it is compared with. */
  readonly columns: readonly [ours: string, peer: string];
  readonly rows: readonly Row[];
}

/** A measured figure. Without a comparison, it has no peer. */
export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly peer: number | undefined;
}

/** Formats a section as a Markdown table, with the ratio of both columns. */
export function table({ title, columns, rows }: Section): string {
  const lines = rows.map(({ what, ours, peer }) => {
    const compared = peer === undefined ? ["", ""] : [figure(peer), figure(ours / peer)];
    return line([what, figure(ours), ...compared]);
  });
  const head = [line(["", ...columns, "ratio"]), line(["---", "---:", "---:", "---:"])];
  return `### ${title}\n\n${[...head, ...lines].join("\n")}\n`;
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
