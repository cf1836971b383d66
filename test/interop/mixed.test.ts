import { describeStack } from "./describe-stack.js";
import type { Program } from "./peers.js";
import { allBy } from "./stack.js";

// One of ours at a time: whatever it gets wrong meets Go on every side. And one of Go's at a time: what only
// works among our own shows there.
const programs: readonly Program[] = ["registry", "nsmgr", "forwarder", "nse", "nsc"];
for (const program of programs) {
  describeStack(`a Go mesh with our ${program}`, allBy("go", { [program]: "ours" }), "mutual TLS");
  describeStack(`our mesh with a Go ${program}`, allBy("ours", { [program]: "go" }), "mutual TLS");
}
