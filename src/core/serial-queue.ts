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
}
