/** A change in progress, and whether a watch has reported its entry since it started. */
interface Change {
  reported: boolean;
}

/** The changes in progress, by entry name. */
export class Changes {
  private readonly underWay = new Map<string, Set<Change>>();

  /**
   * Runs a change. `reported` returns whether a watch has reported the entry since, so that the answer may be
   * outdated.
   */
  async during<R>(name: string, work: (reported: () => boolean) => Promise<R>): Promise<R> {
    const change: Change = { reported: false };
    const all = this.underWay.get(name) ?? new Set();
    this.underWay.set(name, all.add(change));
    try {
      return await work(() => change.reported);
    } finally {
      all.delete(change);
      if (all.size === 0) this.underWay.delete(name);
    }
  }

  /** Records that a watch reported an entry. */
  reported(name: string): void {
    for (const change of this.underWay.get(name) ?? []) change.reported = true;
  }
}
