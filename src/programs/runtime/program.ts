import type { Option } from "commander";
import type { DependencyContainer } from "tsyringe";
import type { DebugState } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";

/** A started program. */
export interface Running {
  /** The addresses it serves on, with actual ports. */
  readonly listenOn: readonly string[];
  /** Resources that its elements hold. */
  debugState(): DebugState;
  /** Closes its connections and stops serving. Resolves when everything is released. */
  stop(): Promise<void>;
  /** Resolves when the processes that it depends on have answered. Default: ready at once. */
  readonly ready?: Promise<void>;
  /** Rejects if the program can no longer do its work. It then exits with this error. */
  readonly failed?: Promise<void>;
}

/** A program: its name, its flags, and its composition root. */
export interface Program<C extends CommonConfig = CommonConfig> {
  readonly name: string;
  /** One line for the help text. */
  readonly summary: string;
  options(): Option[];
  /** Resolves when the program serves, with everything to stop it. */
  start(app: DependencyContainer, config: C): Promise<Running>;
}
