import { closeSync, readdirSync, readlinkSync } from "node:fs";
import { newNamespace } from "../../../../src/linux/index.js";

const home = readlinkSync("/proc/thread-self/ns/net");

newNamespace().run(() => {
  // Closes the descriptor that leads home, as only a bug could.
  for (const fd of readdirSync("/proc/self/fd")) if (targetOf(fd) === home) closeSync(Number(fd));
});
console.log("went on");

function targetOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}
