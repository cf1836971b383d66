import { Code, NsmError } from "../../../core/index.js";
import { HIGHEST_NUMBER } from "../table/memory.js";

/** Gives each interface of a table a number of its own, which it keeps as long as it is filtered. */
export class LinkIds {
  private readonly ids = new Map<string, number>();

  get(name: string): number | undefined {
    return this.ids.get(name);
  }

  /** Keeps the number that an interface had in the table of the process before. */
  keep(name: string, id: number): void {
    this.ids.set(name, id);
  }

  /**
   * A number that no other interface has.
   *
   * @throws NsmError RESOURCE_EXHAUSTED with 65,535 interfaces.
   */
  allocate(name: string): number {
    const taken = new Set(this.ids.values());
    for (let id = 1; id <= HIGHEST_NUMBER; id++) {
      if (taken.has(id)) continue;
      this.ids.set(name, id);
      return id;
    }
    throw new NsmError(Code.ResourceExhausted, `a firewall filters at most ${HIGHEST_NUMBER} interfaces`);
  }

  /** Frees the numbers of interfaces that are not among `names`, and returns them. */
  retain(names: ReadonlySet<string>): readonly number[] {
    const freed = [...this.ids].filter(([name]) => !names.has(name));
    for (const [name] of freed) this.ids.delete(name);
    return freed.map(([, id]) => id);
  }
}
