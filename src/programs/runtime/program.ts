import type { Option } from "commander";
import type { DependencyContainer } from "tsyringe";
import type { DebugState } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";

/** A program that has started. */
export interface Running {
  /** The addresses it serves on, with real ports. */
  readonly listenOn: readonly string[];
  /** What its elements hold. */
  debugState(): DebugState;
  /** Closes what it holds and stops serving. Resolves when nothing is left. */
  stop(): Promise<void>;
  /** Resolves when those it depends on have answered: until then the program is not ready. */
  readonly able?: Promise<void>;
  /** Rejects when it cannot do its job: the program ends with that error. */
  readonly failed?: Promise<void>;
}

/** A ready program: a name, its flags, and the composition root that puts it together. */
export interface Program<C extends CommonConfig = CommonConfig> {
  readonly name: string;
  readonly summary: string;
  options(): Option[];
  start(app: DependencyContainer, config: C): Promise<Running>;
}
