import type { Option } from "commander";
import type { DependencyContainer } from "tsyringe";
import type { DebugState } from "../../core/index.js";
import type { CommonConfig } from "../config/options.js";

/** A started program. */
export interface Running {
  /** The addresses it serves on, with actual ports. */
  readonly listenOn: readonly string[];
  /** What its elements hold. */
  debugState(): DebugState;
  /** Closes its connections and stops serving. Resolves when everything is released. */
  stop(): Promise<void>;
  /** Resolves when the processes it depends on have answered. Until then, the program is not ready. */
  readonly able?: Promise<void>;
  /** Rejects if the program cannot do its work. The program then exits with this error. */
  readonly failed?: Promise<void>;
}

/** A program: its name, its flags, and its composition root. */
export interface Program<C extends CommonConfig = CommonConfig> {
  readonly name: string;
  readonly summary: string;
  options(): Option[];
  start(app: DependencyContainer, config: C): Promise<Running>;
}
