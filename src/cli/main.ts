#!/usr/bin/env node
import { operatorSignals } from "../programs/runtime/signals.js";

const args = process.argv.slice(2);
// Installed before the other modules are loaded, which takes a while.
const signals = args[0] === "run" ? operatorSignals() : undefined;
const { nsmctl } = await import("./nsmctl.js");

// Timers that are still armed (such as the expiry of other processes' connections) must not keep the process
// alive.
process.exit(await nsmctl(args, signals));
