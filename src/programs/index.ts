/**
 * The ready programs and their composition roots: configuration from flags and environment, a tsyringe
 * container, and the chain it resolves to.
 *
 * @packageDocumentation
 */
export type { CommonConfig } from "./config/options.js";
export { positiveDuration } from "./config/values.js";
export { defaultContainer } from "./container.js";
export { runProgram } from "./lifecycle.js";
export type { OperatorSignals } from "./runtime/signals.js";
export { loadProgram, programNames } from "./load.js";
export type { Program, Running } from "./program.js";
export { Tokens, token } from "./tokens.js";
