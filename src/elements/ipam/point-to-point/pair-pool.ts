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

/** The addresses in a request, for both ends. */
export interface Brought {
  readonly endpoint: readonly IpAddress[];
  readonly client: readonly IpAddress[];
}

/** Allocates pairs of addresses. Both addresses of a pair belong to the same prefix. */
export class PairPool {
  private readonly pools: readonly AddressPool[];
  private count = 0;

  /** @throws NsmError INVALID_ARGUMENT if there is no prefix or a prefix is invalid. */
  constructor(private readonly prefixes: readonly string[]) {
    if (prefixes.length === 0)
      throw new NsmError(
        Code.InvalidArgument,
        "no address prefixes: pointToPointIpam() needs at least one prefix",
      );
    const parsed = prefixes.map(parsePrefix);
    this.pools = parsed.map((prefix, i) => {
      const pool = new AddressPool([prefix]);
      for (const earlier of parsed.slice(0, i)) pool.exclude(earlier);
      return pool;
    });
  }

  /** The number of allocated pairs. */
  get taken(): number {
    return this.count;
  }

  /** Whether an address belongs to the prefixes of this pool, free or not. */
  contains(address: IpAddress): boolean {
    return this.pools.some((pool) => pool.contains(address));
  }

  /**
   * Allocates the pair that the request brings if both addresses are free, or else the two lowest free
   * addresses.
   *
   * @throws NsmError RESOURCE_EXHAUSTED if no prefix has two free addresses.
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
      `no free pair of addresses in ${this.prefixes.join(", ")}${except}`,
    );
  }

  /** Allocates a pair that another pool had allocated. Returns undefined if it is not free here. */
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
