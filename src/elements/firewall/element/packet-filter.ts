import { Code, codeOf } from "../../../core/index.js";
import {
  netlinkIn,
  nftablesIn,
  openNamespace,
  writeSysctl,
  type CounterValue,
  type Link,
  type NetworkNamespace,
  type Table,
} from "../../../linux/index.js";

/** The packet filter of one network namespace, as far as a firewall needs it. */
export interface PacketFilter {
  /** Whether this is the filter of the namespace that a URL names (`file:///proc/1234/ns/net`). */
  isOf(inodeUrl: string): boolean;
  /** The interface of that name, or undefined. */
  link(name: string): Promise<Pick<Link, "alias" | "up"> | undefined>;
  /**
   * Makes a table what is described, at one moment; counters of the same name go on. `isProtected` is false when
   * other programs can remove it.
   */
  replaceTable(table: Table): Promise<{ readonly isProtected: boolean }>;
  /** Does nothing when there is none. */
  deleteTable(name: string): Promise<void>;
  /** The counters of a table by name; none when there is no such table. */
  counters(table: string): Promise<ReadonlyMap<string, CounterValue>>;
  /** The tables whose process is gone. */
  abandonedTables(): Promise<readonly string[]>;
  /** Forgets the connections whose mark has this value in the bits of the mask. */
  forgetConnections(marked: { readonly mark: number; readonly mask: number }): Promise<void>;
  /** Has an interface take no routes from router advertisements and redirects. */
  ignoreRouters(name: string): void;
  close(): void;
}

/** The kernel's own. The namespace is opened at the first use and held until close(). */
export function kernelPacketFilter(netns = "/proc/thread-self/ns/net"): PacketFilter {
  let opened: NetworkNamespace | undefined;
  const namespace = () => (opened ??= openNamespace(netns));
  const orNone = async <T>(found: Promise<T>): Promise<T | undefined> => {
    try {
      return await found;
    } catch (error) {
      if (codeOf(error) === Code.NotFound) return undefined;
      throw error;
    }
  };
  return {
    isOf(inodeUrl) {
      const named = openNamespace(inodeUrl);
      const { device, inode } = namespace();
      named.close();
      return named.device === device && named.inode === inode;
    },
    link: async (name) => orNone(netlinkIn(namespace()).link(name)),
    async replaceTable(table) {
      const nftables = nftablesIn(namespace());
      await nftables.replaceTable(table);
      const made = (await nftables.tables()).find(
        ({ family, name }) => family === "inet" && name === table.name,
      );
      return { isProtected: made?.owner === "process" };
    },
    deleteTable: async (name) => orNone(nftablesIn(namespace()).deleteTable("inet", name)),
    counters: async (table) => nftablesIn(namespace()).counters("inet", table),
    async abandonedTables() {
      const tables = await nftablesIn(namespace()).tables();
      return tables
        .filter(({ family, owner }) => family === "inet" && owner === "gone")
        .map(({ name }) => name);
    },
    forgetConnections: async (marked) => nftablesIn(namespace()).forgetConnections(marked),
    ignoreRouters(name) {
      const settings = [
        "ipv6/conf/*/accept_ra",
        "ipv6/conf/*/accept_redirects",
        "ipv4/conf/*/accept_redirects",
      ];
      for (const setting of settings) {
        try {
          writeSysctl(namespace(), setting.replace("*", name), "0");
        } catch (error) {
          if (codeOf(error) !== Code.NotFound) throw error; // a kernel without IPv6, or the interface is gone again
        }
      }
    },
    close: () => opened?.close(),
  };
}
