import type { Checks } from "../report/checks.js";
import type { Screen } from "../report/screen.js";
import type { Machine } from "../machine/machine.js";

/** What every step of the demo works with. */
export interface StepContext {
  readonly machine: Machine;
  readonly checks: Checks;
  readonly screen: Screen;
}
