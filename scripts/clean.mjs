// A build starts from nothing: files of modules that are gone must not stay in dist.
import { rmSync } from "node:fs";

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true });
