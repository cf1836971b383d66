/**
 * The programs and their composition roots: configuration from flags and environment, a tsyringe container,
 * and the chain it resolves to.
 *
 * @packageDocumentation
 */
export type { CommonConfig } from "./config/options.js";
export { positiveDuration } from "./config/values.js";
export { defaultContainer } from "./runtime/container.js";
export { runProgram } from "./runtime/lifecycle.js";
export type { OperatorSignals } from "./runtime/signals.js";
export { loadProgram, programNames } from "./load.js";
export type { Program, Running } from "./runtime/program.js";
export { Tokens, token } from "./runtime/tokens.js";
