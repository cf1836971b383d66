import type { CheckObserver, Checks } from "./checks.js";

/** The readable output of the demo. */
export interface Screen extends CheckObserver {
  /** Prints a heading. */
  heading(title: string): void;
  /** Prints a separate block of lines, such as a diagram or a table. */
  figure(lines: readonly string[]): void;
  line(text: string): void;
}

/** Prints nothing. */
export const silentScreen: Screen = { heading() {}, figure() {}, line() {}, began() {}, ended() {} };

/** Codes that turn a style on and off (ECMA-48, select graphic rendition). */
const codes = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39] } as const;

const NAME_WIDTH = 35;
const TIME_WIDTH = 9;

/** Writes to a stream. Uses colors and a progress line only on a terminal. */
export function screen(stream: NodeJS.WriteStream): Screen {
  const live = stream.isTTY;
  const colors = live && !process.env.NO_COLOR;
  const style = (format: keyof typeof codes, text: string): string =>
    colors ? `\x1b[${codes[format][0]}m${text}\x1b[${codes[format][1]}m` : text;
  let gap = false;
  const line = (text: string): void => {
    stream.write(`${text}\n`);
    gap = text === "";
  };
  const apart = (): void => {
    if (!gap) line("");
  };
  return {
    line,
    heading(title) {
      apart();
      line(style("bold", title));
    },
    figure(lines) {
      apart();
      for (const text of lines) line(text && `    ${text}`);
      line("");
    },
    began(name) {
      if (live) stream.write(style("dim", `  … ${name}`));
    },
    ended({ name, ok, ms, detail }) {
      if (live) stream.write("\r\x1b[K");
      const mark = ok ? style("green", "✓") : style("red", "✗");
      const time = style("dim", duration(ms).padStart(TIME_WIDTH));
      line(`  ${mark} ${name.padEnd(NAME_WIDTH)}${time}   ${ok ? detail : style("red", detail)}`.trimEnd());
    },
  };
}

/** `0.4 ms`, `12 ms`, `1.24 s`. */
export function duration(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** The summary: success, or the failed checks and their reasons. */
export function verdict(checks: Checks, seconds: number): readonly string[] {
  const failed = checks.tried.filter(({ ok }) => !ok);
  const took = `${checks.all().length} checks in ${seconds.toFixed(1)} s`;
  if (failed.length === 0 && checks.untried.length === 0) return ["", took, "all checks passed"];
  return [
    "",
    took,
    ...(checks.untried.length > 0 ? [`not run (${checks.reason}): ${checks.untried.join(", ")}`] : []),
    ...failed.map(({ name, detail }) => `failed: ${name}: ${detail}`),
  ];
}
