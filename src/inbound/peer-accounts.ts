import type { TransportConnection } from "../core/index.js";

/** What one peer occupies. */
export interface PeerAccount {
  /** Its IP address, or the unix socket it came to. */
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
    const peer = connection.kind === "unix" ? listenOn : connection.address.replace(/:\d+$/, "");
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
