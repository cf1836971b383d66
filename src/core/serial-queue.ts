/** Runs jobs one at a time, in the order they were given. */
export class SerialQueue {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** Whether nothing runs and nothing waits. */
  get idle(): boolean {
    return this.waiting === 0;
  }

  /** Answers with what the job answers, or fails with it; a job that fails does not hold up the next. */
  run<R>(job: () => Promise<R>): Promise<R> {
    this.waiting++;
    const result = this.last.then(job);
    this.last = result.then(
      () => this.waiting--,
      () => this.waiting--,
    );
    return result;
  }

  /**
   * run() for a caller that stops waiting for its turn when `signal` aborts, or does not wait at all when it has:
   * the result then rejects at once with the signal's reason. The job is run in its turn all the same, and finds the signal aborted. Once a job runs,
   * its own outcome is the result.
   */
  runOrLeave<R>(signal: AbortSignal, job: () => Promise<R>): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const leave = (): void => reject(signal.reason as Error);
      if (signal.aborted) leave();
      signal.addEventListener("abort", leave, { once: true });
      const turn = this.run(() => {
        signal.removeEventListener("abort", leave);
        return job();
      });
      turn.then(resolve, reject);
    });
  }
}
