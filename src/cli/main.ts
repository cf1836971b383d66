#!/usr/bin/env node
import { operatorSignals } from "../programs/runtime/signals.js";

const args = process.argv.slice(2);
// Before everything else is loaded, which takes a while.
const signals = args[0] === "run" ? operatorSignals() : undefined;
const { nsmctl } = await import("./nsmctl.js");

// Whatever is still armed (the expiry of connections that others keep, say) is no reason to stay.
process.exit(await nsmctl(args, signals));
