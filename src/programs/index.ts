/**
 * The ready programs and their composition roots: configuration from flags and environment, a tsyringe
 * container, and the chain it resolves to.
 *
 * @packageDocumentation
 */
export type { CommonConfig } from "./config/options.js";
export { duration } from "./config/values.js";
export { defaultContainer } from "./container.js";
export { forwarderProgram } from "./forwarder.js";
export { runProgram } from "./lifecycle.js";
export { nscProgram } from "./nsc/index.js";
export { nseFirewallProgram } from "./nse-firewall.js";
export { nseProgram } from "./nse.js";
export { nsmgrProgram } from "./nsmgr.js";
export type { Program, Running } from "./program.js";
export { registryProgram } from "./registry.js";
export { Tokens, token } from "./tokens.js";
