import { spawn } from "node:child_process";

/** Processes and files that must not outlive the demo. */
export interface Guard {
  watch(pid: number): void;
  forget(pid: number): void;
  /** Ends the guard after a complete cleanup. */
  dismiss(): Promise<void>;
}

// The script reads what to guard from a pipe. If the pipe ends without `dismiss`, the demo was killed.
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
 * A small process that ends the demo's processes and removes its directory if the demo is killed before its
 * own cleanup. Namespaces need no guard: the descriptors of the processes hold them.
 */
export function guard(directory: string): Guard {
  // Detached, so that neither Ctrl-C nor the end of the terminal stops it.
  const child = spawn("/bin/sh", ["-c", script, "nsmctl-demo-guard", directory], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  // Without a shell, or if the guard is killed, the demo continues unguarded.
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
