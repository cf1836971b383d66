import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { goPeerBinary } from "./peers.js";

/** A Workload API made in Go. Its commands are those of `test/interop/go/workload_api.go`. */
export interface WorkloadAgent {
  readonly address: string;
  /** Gives a command. Resolves with its answer when it has taken effect. */
  command(text: string): Promise<string>;
  kill(): Promise<void>;
}

/** Starts `gopeer workload-api`. */
export async function workloadAgent(args: readonly string[]): Promise<WorkloadAgent> {
  const child = spawn(goPeerBinary(), ["workload-api", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const closed = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const { done, value } = await lines.next();
    if (done) throw new Error("the agent ended");
    return JSON.parse(value) as Record<string, unknown>;
  };
  const { listenOn } = (await next()) as { listenOn: readonly string[] };
  return {
    address: listenOn[0]!,
    async command(text) {
      child.stdin.write(`${text}\n`);
      const { event, answer, error } = await next();
      if (event !== "done") throw new Error(`the agent refused "${text}": ${String(error)}`);
      return String(answer);
    },
    async kill() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}
