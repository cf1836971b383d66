import { spawn } from "node:child_process";
import { constants } from "node:os";

const INSIDE = "NSMCTL_DEMO_INSIDE";

/** Whether this process was started by {@link againInUserNamespace}. */
export function isInUserNamespace(): boolean {
  return process.env[INSIDE] !== undefined;
}

/**
 * Runs the same command again as root of a user namespace, for users who cannot create network namespaces.
 * Resolves to the exit code. Forwards signals. If this process is killed, the inner one notices and cleans
 * up.
 */
export function againInUserNamespace(): Promise<number> {
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("unshare", ["-Urn", ...command], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, [INSIDE]: "1" },
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of signals) process.on(signal, passOn);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      for (const name of signals) process.off(name, passOn);
      resolve(code ?? 128 + constants.signals[signal!]);
    });
  });
}
