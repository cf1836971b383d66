/** Rows under a heading, as wide as they need to be; columns of numbers lean to the right. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): readonly string[] {
  const widths = heading.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => String(row[i] ?? "").length)),
  );
  const numeric = heading.map((_, i) => rows.every((row) => typeof row[i] === "number"));
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, i) => (numeric[i] ? String(cell).padStart(widths[i]!) : String(cell).padEnd(widths[i]!)))
      .join("   ")
      .trimEnd();
  return [line(heading), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)];
}
