import { spawn } from "node:child_process";

/** What must not outlive the demo, whatever happens to it. */
export interface Guard {
  watch(pid: number): void;
  forget(pid: number): void;
  /** All is gone: nothing is left to guard. */
  dismiss(): Promise<void>;
}

// It reads what to guard from a pipe. When the pipe ends without a word, the demo was killed.
const script = `
pids=
while read -r word pid; do
  case $word in
    watch) pids="$pids $pid" ;;
    forget) rest=; for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done; pids=$rest ;;
    dismiss) exit 0 ;;
  esac
done
[ -z "$pids" ] || kill -KILL $pids
rm -rf -- "$1"
`;

/**
 * A small process that ends the demo's processes and removes its directory in case the demo is killed before
 * it could do so itself. Namespaces need no guard: they are held by descriptors of processes.
 */
export function guard(directory: string): Guard {
  // Detached: neither Ctrl-C nor the end of the terminal is meant for it.
  const child = spawn("/bin/sh", ["-c", script, "nsmctl-demo-guard", directory], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  // Without a shell, or when somebody killed it, the demo goes on without guard.
  child.stdin.on("error", () => {});
  return {
    watch: (pid) => void child.stdin.write(`watch ${pid}\n`),
    forget: (pid) => void child.stdin.write(`forget ${pid}\n`),
    dismiss() {
      child.stdin.end("dismiss\n");
      return ended;
    },
  };
}
