#!/usr/bin/env node
import { nsmctl } from "./nsmctl.js";

// Whatever is still armed (the expiry of connections that others keep, say) is no reason to stay.
process.exit(await nsmctl(process.argv.slice(2)));
