import { styleText } from "node:util";

/** How a line looks. */
export interface TextLineOptions {
  readonly colors: boolean;
}

type Style = Parameters<typeof styleText>[0];

const styles: Readonly<Record<string, Style>> = { warn: "yellow", error: "red", fatal: "red" };

/** Fields that every line has; the text shows them in places of their own, or not at all. */
const framed = new Set(["level", "time", "pid", "hostname", "name", "msg"]);

/**
 * A JSON line of the log as a line for people:
 *
 *     14:55:01.123 info  nsmgr: connection established  connection=nsc-0 service=web
 */
export function textLine(json: string, { colors }: TextLineOptions): string {
  const line = JSON.parse(json) as Record<string, unknown>;
  const level = String(line.level);
  const style = (how: Style, text: string): string =>
    // Whether stderr takes colors was decided by the caller.
    colors ? styleText(how, text, { validateStream: false }) : text;
  const fields = Object.entries(line)
    .filter(([key, value]) => !framed.has(key) && value !== "")
    .map(([key, value]) => `${style("dim", `${key}=`)}${valueText(value)}`);
  const stack = (line.err as { stack?: string } | undefined)?.stack;
  const time = String(line.time).slice("2026-01-01T".length, -1);
  const head = `${style("dim", time)} ${style(styles[level] ?? "green", level.padEnd(5))}`;
  const said = [`${head} ${String(line.name)}: ${String(line.msg)}`, ...fields].join(" ");
  return stack === undefined ? `${said}\n` : `${said}\n${stack}\n`;
}

function valueText(value: unknown): string {
  if (isError(value)) return JSON.stringify(value.message);
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function isError(value: unknown): value is { readonly message: string; readonly stack: string } {
  return typeof value === "object" && value !== null && "stack" in value && "message" in value;
}
