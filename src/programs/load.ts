import type { CommonConfig } from "./config/options.js";
import type { Program } from "./runtime/program.js";

// Loaded separately: each program has libraries that others do not need, which saves memory and start time.
const loaders: Readonly<Record<string, () => Promise<unknown>>> = {
  registry: async () => (await import("./registry.js")).registryProgram,
  nsmgr: async () => (await import("./nsmgr.js")).nsmgrProgram,
  forwarder: async () => (await import("./forwarder.js")).forwarderProgram,
  nse: async () => (await import("./nse.js")).nseProgram,
  "nse-firewall": async () => (await import("./nse-firewall.js")).nseFirewallProgram,
  nsc: async () => (await import("./nsc/index.js")).nscProgram,
};

/** The names of all programs. */
export const programNames: readonly string[] = Object.keys(loaders);

/** Loads a program by name. Returns undefined for an unknown name. */
export async function loadProgram(name: string): Promise<Program<CommonConfig> | undefined> {
  // The program's options produce exactly the configuration that its start() expects.
  return (await loaders[name]?.()) as Program<CommonConfig> | undefined;
}
