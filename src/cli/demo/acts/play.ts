import type { Checks } from "../checks.js";
import type { Screen } from "../screen.js";
import type { Stage } from "../stage.js";

/** What every act of the demo works with. */
export interface Play {
  readonly stage: Stage;
  readonly checks: Checks;
  readonly screen: Screen;
}
