import { Code, codeOf } from "../../../core/index.js";
import {
  netlinkIn,
  openNamespace,
  writeSysctl,
  type Link,
  type NetworkNamespace,
} from "../../../linux/index.js";
import { nftablesIn, type CounterValue, type Table } from "../../../linux/nftables/index.js";

/** The packet filter operations of one network namespace that a firewall uses. */
export interface PacketFilter {
  /** Whether a URL names the namespace of this filter (`file:///proc/1234/ns/net`). */
  isOf(inodeUrl: string): boolean;
  /** The interface of that name, or undefined. */
  link(name: string): Promise<Pick<Link, "alias" | "up"> | undefined>;
  /**
   * Replaces a table in one transaction. Counters with the same name keep their values. `isProtected` is false
   * if other programs can remove the table.
   */
  replaceTable(table: Table): Promise<{ readonly isProtected: boolean }>;
  /** Does nothing if the table does not exist. */
  deleteTable(name: string): Promise<void>;
  /** The counters of a table by name. Empty if the table does not exist. */
  counters(table: string): Promise<ReadonlyMap<string, CounterValue>>;
  /** The tables whose owner process has ended. */
  abandonedTables(): Promise<readonly string[]>;
  /** Deletes the conntrack entries whose mark has this value in the bits of the mask. */
  forgetConnections(marked: { readonly mark: number; readonly mask: number }): Promise<void>;
  /** Makes an interface ignore router advertisements and redirects. */
  ignoreRouters(name: string): void;
  close(): void;
}

/** The packet filter of the kernel. Opens the namespace at first use and holds it until close(). */
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
          if (codeOf(error) !== Code.NotFound) throw error; // a kernel without IPv6, or a deleted interface
        }
      }
    },
    close: () => opened?.close(),
  };
}
