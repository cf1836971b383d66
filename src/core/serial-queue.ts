/** Runs jobs one at a time, in the order in which they were added. */
export class SerialQueue {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** Whether no job is running or waiting. */
  get idle(): boolean {
    return this.waiting === 0;
  }

  /** Adds a job and settles with its outcome. A job that fails does not block the next one. */
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
   * Like run(), but the caller stops waiting for its turn when `signal` aborts. The result then rejects at once
   * with the signal's reason. The job still runs in its turn, with the signal aborted. Once a job runs, the
   * result is the job's outcome.
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
