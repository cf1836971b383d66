import { Code, NsmError } from "../../../core/index.js";
import {
  AddressPool,
  AddressSet,
  formatPrefix,
  parsePrefix,
  sameAddress,
  type IpAddress,
} from "../../../net/index.js";

/** The addresses of the two ends of one connection. */
export interface Pair {
  readonly endpoint: IpAddress;
  readonly client: IpAddress;
}

/** The addresses that a request brings, for either end. */
export interface Brought {
  readonly endpoint: readonly IpAddress[];
  readonly client: readonly IpAddress[];
}

/** Pairs of addresses to hand out. The two of a pair are of one prefix. */
export class PairPool {
  private readonly pools: readonly AddressPool[];
  private count = 0;

  /** @throws NsmError INVALID_ARGUMENT without prefixes or for what is none. */
  constructor(private readonly prefixes: readonly string[]) {
    if (prefixes.length === 0)
      throw new NsmError(Code.InvalidArgument, "no prefix is given to take addresses from");
    const parsed = prefixes.map(parsePrefix);
    this.pools = parsed.map((prefix, i) => {
      const pool = new AddressPool([prefix]);
      for (const earlier of parsed.slice(0, i)) pool.exclude(earlier);
      return pool;
    });
  }

  /** How many pairs are out. */
  get taken(): number {
    return this.count;
  }

  /** Whether an address is one of those handed out here, free or not. */
  contains(address: IpAddress): boolean {
    return this.pools.some((pool) => pool.contains(address));
  }

  /**
   * The pair that the request brings if both addresses are free, else the lowest two.
   *
   * @throws NsmError RESOURCE_EXHAUSTED when there are not two addresses left in any prefix.
   */
  take(brought: Brought, excluded: AddressSet): Pair {
    for (const find of [recover, lowest]) {
      for (const pool of this.pools) {
        const pair = find(pool, brought, excluded);
        if (!pair) continue;
        this.count++;
        return pair;
      }
    }
    const except = excluded.isEmpty
      ? ""
      : ` without the excluded ${excluded.prefixes().map(formatPrefix).join(", ")}`;
    throw new NsmError(
      Code.ResourceExhausted,
      `no two free addresses are left in ${this.prefixes.join(", ")}${except}`,
    );
  }

  /** Takes a pair that was handed out before this pool existed; undefined if it is not free here. */
  claim({ endpoint, client }: Pair): Pair | undefined {
    const brought = { endpoint: [endpoint], client: [client] };
    for (const pool of this.pools) {
      const pair = recover(pool, brought, new AddressSet([]));
      if (!pair) continue;
      this.count++;
      return pair;
    }
    return undefined;
  }

  giveBack({ endpoint, client }: Pair): void {
    this.count--;
    for (const pool of this.pools) {
      pool.giveBack(endpoint);
      pool.giveBack(client);
    }
  }
}

function recover(pool: AddressPool, brought: Brought, excluded: AddressSet): Pair | undefined {
  const usable = (address: IpAddress): boolean => pool.isFree(address) && !excluded.has(address);
  const endpoint = brought.endpoint.find(usable);
  const client = brought.client.find(usable);
  if (!endpoint || !client || sameAddress(endpoint, client)) return undefined;
  pool.take(endpoint);
  pool.take(client);
  return { endpoint, client };
}

function lowest(pool: AddressPool, _brought: Brought, excluded: AddressSet): Pair | undefined {
  const endpoint = pool.pull(excluded);
  if (!endpoint) return undefined;
  const client = pool.pull(excluded);
  if (client) return { endpoint, client };
  pool.giveBack(endpoint);
  return undefined;
}
