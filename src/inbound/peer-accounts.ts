import { isIP } from "node:net";
import type { TransportConnection } from "../core/index.js";
import { formatAddress, formatPrefix, networkOf, parseAddress } from "../net/index.js";

/** One host has at least so many of the leading bits to itself, and may call from all addresses behind them. */
const IPV6_HOST_BITS = 64;

/** What one peer occupies. */
export interface PeerAccount {
  /** Its IPv4 address, the /64 network of its IPv6 address, or the unix socket it came to. */
  readonly peer: string;
  connections: number;
  /** Bytes of request messages that have not arrived completely. */
  unfinishedBytes: number;
  /** Bytes of the requests and answers of its calls under way. */
  callBytes: number;
}

/** What each peer occupies, from its first connection to its last. */
export class PeerAccounts {
  private readonly accounts = new Map<string, PeerAccount>();
  private readonly ofConnection = new WeakMap<TransportConnection, PeerAccount>();

  /** Adds a connection that was accepted at the address `listenOn`. */
  open(connection: TransportConnection, listenOn: string): PeerAccount {
    const peer = connection.kind === "unix" ? listenOn : hostOf(connection.address);
    const account = this.accounts.get(peer) ?? { peer, connections: 0, unfinishedBytes: 0, callBytes: 0 };
    this.accounts.set(peer, account);
    this.ofConnection.set(connection, account);
    account.connections++;
    return account;
  }

  /** Removes a connection of that account. */
  close(account: PeerAccount): void {
    if (--account.connections === 0) this.accounts.delete(account.peer);
  }

  of(connection: TransportConnection | undefined): PeerAccount | undefined {
    return connection && this.ofConnection.get(connection);
  }
}

/** Whose address it is: `10.0.0.1:4000` is 10.0.0.1's, and `fd00::1:4000` that of fd00::/64. */
function hostOf(address: string): string {
  const [host = ""] = address.replace(/:\d+$/, "").split("%");
  if (isIP(host) === 0) return host;
  const ip = parseAddress(host);
  if (ip.family === 4 || ip.value === 1n) return formatAddress(ip);
  return formatPrefix(networkOf({ address: ip, length: IPV6_HOST_BITS }));
}
