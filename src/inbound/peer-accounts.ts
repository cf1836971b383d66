import { isIP } from "node:net";
import type { TransportConnection } from "../core/index.js";
import { formatAddress, formatPrefix, networkOf, parseAddress } from "../net/index.js";

/** A host owns at least a /64 and can call from any address in it. */
const IPV6_HOST_BITS = 64;

/** What one peer currently occupies. */
export interface PeerAccount {
  /** Its IPv4 address, the /64 network of its IPv6 address, or the unix socket it came to. */
  readonly peer: string;
  connections: number;
  /** Bytes of request messages that have not arrived completely. */
  unfinishedBytes: number;
  /** Bytes of the requests and answers of its calls in progress. */
  callBytes: number;
}

/** Tracks each peer from its first connection to its last. */
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

/** The peer of an address: 10.0.0.1 for `10.0.0.1:4000`, the network fd00::/64 for `fd00::1:4000`. */
function hostOf(address: string): string {
  const [host = ""] = address.replace(/:\d+$/, "").split("%");
  if (isIP(host) === 0) return host;
  const ip = parseAddress(host);
  if (ip.family === 4 || ip.value === 1n) return formatAddress(ip);
  return formatPrefix(networkOf({ address: ip, length: IPV6_HOST_BITS }));
}
