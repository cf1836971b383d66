import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expectEventually } from "./support.js";

/** What a reader pastes: commands into a shell (`sh`), or a file (`ts`). */
export interface Block {
  readonly kind: "sh" | "ts";
  readonly text: string;
}

/** Where a {@link Terminal} stands. */
export interface TerminalOptions {
  /** Where scripts and temporary files go. */
  readonly folder: string;
  readonly cwd: string;
  /** What is different here from the reader's machine: functions and aliases of the shell. */
  readonly prelude: string;
}

/** A shell that blocks of commands are pasted into. Its background jobs go on between them. */
export class Terminal {
  /** What has been printed on stdout and stderr, without colors. */
  output = "";
  private readonly shell: ChildProcess;
  private pasted = 0;

  constructor(private readonly options: TerminalOptions) {
    const { folder, cwd, prelude } = options;
    // In a process group of its own, which close() ends as a whole.
    this.shell = spawn("bash", ["--norc", "--noprofile", "-s"], {
      cwd,
      detached: true,
      env: { ...process.env, TMPDIR: folder },
    });
    for (const stream of [this.shell.stdout!, this.shell.stderr!]) {
      stream
        .setEncoding("utf8")
        .on("data", (text: string) => (this.output += stripVTControlCharacters(text)));
    }
    // A command that fails is reported, wherever it stands in a block.
    this.type(`shopt -s expand_aliases; trap 'echo "FAILED: $BASH_COMMAND"' ERR\n${prelude}\n`);
  }

  /**
   * Runs a block as the shell of a reader would, and waits for its last command.
   *
   * @returns what was printed meanwhile
   */
  async paste(block: string): Promise<string> {
    const before = this.output.length;
    const script = join(this.options.folder, `block-${++this.pasted}.sh`);
    const mark = `-- block ${this.pasted} is done --`;
    writeFileSync(script, block);
    this.type(`. ${script} </dev/null\necho "${mark}"\n`);
    await this.prints(mark);
    return this.output.slice(before);
  }

  /** Waits until `text` has been printed `times` times. */
  async prints(text: string, times = 1): Promise<void> {
    const seen = (): boolean => this.output.split(text).length > times;
    try {
      await expectEventually(() => Promise.resolve(seen()), true);
    } catch {
      throw new Error(`${JSON.stringify(text)} was not printed ${times} times in:\n${this.output}`);
    }
  }

  /** Ends the shell and everything that it has started. */
  async close(): Promise<void> {
    const closed = once(this.shell, "close");
    process.kill(-this.shell.pid!, "SIGKILL");
    await closed;
  }

  private type(text: string): void {
    this.shell.stdin!.write(text);
  }
}
