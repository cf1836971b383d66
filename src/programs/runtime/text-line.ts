import { styleText } from "node:util";

/** Format of a line. */
export interface TextLineOptions {
  readonly colors: boolean;
}

type Style = Parameters<typeof styleText>[0];

const styles: Readonly<Record<string, Style>> = { warn: "yellow", error: "red", fatal: "red" };

/** Fields of every line. The text shows them in fixed places, or not at all. */
const framed = new Set(["level", "time", "pid", "hostname", "name", "msg"]);

/**
 * Formats a JSON log line as readable text:
 *
 *     14:55:01.123 info  nsmgr: connection established  connection=nsc-0 service=web
 */
export function textLine(json: string, { colors }: TextLineOptions): string {
  const line = JSON.parse(json) as Record<string, unknown>;
  const level = String(line.level);
  const style = (how: Style, text: string): string =>
    // The caller has already decided whether stderr supports colors.
    colors ? styleText(how, text, { validateStream: false }) : text;
  const fields = Object.entries(line)
    .filter(([key, value]) => !framed.has(key) && value !== "")
    .map(([key, value]) => `${style("dim", `${printable(key)}=`)}${printable(valueText(value))}`);
  const stack = (line.err as { stack?: string } | undefined)?.stack;
  const time = String(line.time).slice("2026-01-01T".length, -1);
  const head = `${style("dim", time)} ${style(styles[level] ?? "green", level.padEnd(5))}`;
  const text = [`${head} ${printable(String(line.name))}: ${printable(String(line.msg))}`, ...fields].join(
    " ",
  );
  if (stack === undefined) return `${text}\n`;
  return `${text}\n${stack.split("\n").map(printable).join("\n")}\n`;
}

// Control characters, and those that change the direction of text or end a line.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Names come from peers. A terminal must not interpret them as control sequences. */
function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    const code = char.codePointAt(0)!;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function valueText(value: unknown): string {
  if (isError(value)) return JSON.stringify(value.message);
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[^\s"=\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}

function isError(value: unknown): value is { readonly message: string; readonly stack: string } {
  return typeof value === "object" && value !== null && "stack" in value && "message" in value;
}
