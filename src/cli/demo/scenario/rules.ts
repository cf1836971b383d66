import { rename, writeFile } from "node:fs/promises";
import { stringify } from "yaml";

/** The rules of the demo's firewalls, by counter name. */
export const ruleNames = ["ping", "web", "database"] as const;
export type RuleName = (typeof ruleNames)[number];

/** The port that is always allowed. */
export const WEB = 80;
/** The port that is denied at first. */
export const DATABASE = 5432;

/** The rules for the firewalls: allow ping and web, and allow or deny the database. */
export function rules(database: "allow" | "deny") {
  return [
    { name: "ping", action: "allow", protocol: "icmp", icmp: "echo-request" },
    { name: "web", action: "allow", protocol: "tcp", ports: WEB },
    { name: "database", action: database, protocol: "tcp", ports: DATABASE },
  ] as const;
}

/** Writes rules to a file atomically, so that its watcher never reads half of them. */
export async function writeRules(path: string, database: "allow" | "deny"): Promise<void> {
  await writeFile(`${path}.new`, stringify(rules(database)));
  await rename(`${path}.new`, path);
}
