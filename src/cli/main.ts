#!/usr/bin/env node
import { nsmctl } from "./nsmctl.js";

process.exitCode = await nsmctl(process.argv.slice(2));
