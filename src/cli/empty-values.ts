import type { Option } from "commander";

/**
 * Removes empty values from the command line and the environment. They count as not given: `--name ""`,
 * `--name=` and `NSM_NAME=` result from unset variables in scripts and manifests.
 */
export function withoutEmptyValues(
  args: readonly string[],
  options: readonly Option[],
  env: NodeJS.ProcessEnv,
): string[] {
  for (const { envVar } of options) if (envVar !== undefined && isEmpty(env[envVar])) delete env[envVar];
  const flags = new Set(options.map(({ long }) => long));
  const kept: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    const [flag, value] = splitOnce(arg);
    if (flags.has(flag) && value !== undefined && isEmpty(value)) continue;
    if (flags.has(arg) && isEmpty(args[at + 1])) at++;
    else kept.push(arg);
  }
  return kept;
}

function isEmpty(value: string | undefined): boolean {
  return value?.trim() === "";
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
