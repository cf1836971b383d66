import { Code, NsmError } from "../../../core/index.js";
import { HIGHEST_NUMBER } from "../table/memory.js";

/** Allocates a number for each interface of a table. The interface keeps its number as long as it is filtered. */
export class LinkIds {
  private readonly ids = new Map<string, number>();

  get(name: string): number | undefined {
    return this.ids.get(name);
  }

  /** Keeps the number that an interface had in the table of an earlier process. */
  keep(name: string, id: number): void {
    this.ids.set(name, id);
  }

  /**
   * Allocates a number that no other interface has.
   *
   * @throws NsmError RESOURCE_EXHAUSTED if the table has 65,535 interfaces.
   */
  allocate(name: string): number {
    const taken = new Set(this.ids.values());
    for (let id = 1; id <= HIGHEST_NUMBER; id++) {
      if (taken.has(id)) continue;
      this.ids.set(name, id);
      return id;
    }
    throw new NsmError(
      Code.ResourceExhausted,
      `too many interfaces: a firewall filters at most ${HIGHEST_NUMBER}`,
    );
  }

  /** Releases the numbers of interfaces that are not in `names`, and returns them. */
  retain(names: ReadonlySet<string>): readonly number[] {
    const freed = [...this.ids].filter(([name]) => !names.has(name));
    for (const [name] of freed) this.ids.delete(name);
    return freed.map(([, id]) => id);
  }
}
