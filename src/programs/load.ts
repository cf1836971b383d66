import type { CommonConfig } from "./config/options.js";
import type { Program } from "./runtime/program.js";

// Loaded one by one: each brings libraries that others do without, in memory and in time to start.
const loaders: Readonly<Record<string, () => Promise<unknown>>> = {
  registry: async () => (await import("./registry.js")).registryProgram,
  nsmgr: async () => (await import("./nsmgr.js")).nsmgrProgram,
  forwarder: async () => (await import("./forwarder.js")).forwarderProgram,
  nse: async () => (await import("./nse.js")).nseProgram,
  "nse-firewall": async () => (await import("./nse-firewall.js")).nseFirewallProgram,
  nsc: async () => (await import("./nsc/index.js")).nscProgram,
};

/** The programs there are. */
export const programNames: readonly string[] = Object.keys(loaders);

/** A program by its name; undefined when there is none of that name. */
export async function loadProgram(name: string): Promise<Program<CommonConfig> | undefined> {
  // Its options make the configuration that its start() expects.
  return (await loaders[name]?.()) as Program<CommonConfig> | undefined;
}
