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
}
