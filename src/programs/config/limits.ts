import { InvalidArgumentError, Option } from "commander";
import type { InboundLimits } from "../../inbound/index.js";
import type { Limits } from "../../registry/elements/limits/index.js";
import { list } from "./values.js";

const inbound = [
  "connectionsPerPeer",
  "streamsPerConnection",
  "messageBytes",
  "unfinishedBytesPerPeer",
  "callBytesPerPeer",
  "handshakeMs",
  "idleMs",
] as const satisfies readonly (keyof InboundLimits)[];

const registry = ["entryBytes", "namesPerIdentity", "watches"] as const satisfies readonly (keyof Limits)[];

/** Default limits of a registry. A manager opens one watch per service that it looks for. */
const REGISTRY_DEFAULTS = { entryBytes: 262_144, namesPerIdentity: 100_000, watches: 100_000 };

/** The option that limits what clients may occupy of a program. */
export function limitsOption(): Option {
  return new Option("--limits <name=number,…>", `limits on what clients may occupy: ${inbound.join(", ")}`)
    .env("NSM_LIMITS")
    .argParser((text) => numbers(text, inbound));
}

/** The option that limits what a registry keeps. */
export function registryLimitsOption(): Option {
  return new Option(
    "--registry-limits <name=number,…>",
    `limits on what the registry keeps: ${registry.join(", ")}`,
  )
    .env("NSM_REGISTRY_LIMITS")
    .argParser((text) => ({ ...REGISTRY_DEFAULTS, ...numbers(text, registry) }))
    .default(REGISTRY_DEFAULTS, written(REGISTRY_DEFAULTS));
}

function written(limits: Readonly<Record<string, number>>): string {
  return Object.entries(limits)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

function numbers<N extends string>(text: string, names: readonly N[]): { [K in N]?: number } {
  const given: { [K in N]?: number } = {};
  for (const item of list(text)) {
    const [, key, value] = /^(\w+)=([1-9]\d{0,9})$/.exec(item) ?? [];
    const name = names.find((one) => one === key);
    if (name === undefined || Number(value) > 2 ** 31 - 1) {
      throw new InvalidArgumentError(
        `"${item}" is not a limit. Allowed is NAME=NUMBER with a NAME of ${names.join(", ")} and a NUMBER from 1 to 2147483647.`,
      );
    }
    given[name] = Number(value);
  }
  return given;
}
