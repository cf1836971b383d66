import { nsmctl } from "../../../../../src/cli/nsmctl.js";

process.exitCode = await nsmctl(["run", "nse-firewall"]);
