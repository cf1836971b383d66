/** A change that is under way, and whether watches have reported its entry since it began. */
interface Change {
  reported: boolean;
}

/** The changes that callers make at the moment, by name of the entry. */
export class Changes {
  private readonly underWay = new Map<string, Set<Change>>();

  /** Runs a change. It can ask whether the entry was reported meanwhile: its own answer may be older then. */
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

  /** Notes that a watch reported an entry. */
  reported(name: string): void {
    for (const change of this.underWay.get(name) ?? []) change.reported = true;
  }
}
