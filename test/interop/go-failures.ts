/** What peers with Go's SDK v1.15.0 do now and then, also among themselves. */
const known: readonly { readonly what: string; readonly text: RegExp }[] = [
  { what: "Go's grpcfd closed a file twice", text: /file already closed/ },
  { what: "a descriptor left before the call that Go waited for", text: /timeout in recvfd waiting for/ },
];

/** Repeats once what failed by a known fault of Go, and counts it. Any other failure counts at once. */
export class GoFailures {
  readonly #repeated: string[] = [];
  #absorbed = 0;

  /** Runs `attempt`, which gets the number of failures before it. */
  async tolerate<R>(attempt: (failed: number) => Promise<R>): Promise<R> {
    try {
      return await attempt(0);
    } catch (error) {
      const fault = known.find(({ text }) => text.test(String(error)));
      if (!fault) throw error;
      this.#repeated.push(fault.what);
      return attempt(1);
    }
  }

  /** Counts the known faults in what a process has logged. Its own retry, or its peer's, has coped with them. */
  read(log: string): void {
    this.#absorbed += log.split("\n").filter((line) => known.some(({ text }) => text.test(line))).length;
  }

  report(): string {
    const tests = this.#repeated.length === 0 ? "none" : this.#repeated.join("; ");
    return `known faults of Go: tests repeated: ${tests}; log lines of other calls: ${this.#absorbed}`;
  }
}
