import { Code, codeOf } from "../../core/index.js";
import {
  netlinkIn,
  nftablesIn,
  openNamespace,
  type CounterValue,
  type Link,
  type NetworkNamespace,
  type Table,
} from "../../linux/index.js";

/** The packet filter of one network namespace, as far as a firewall needs it. */
export interface PacketFilter {
  /** Whether this is the filter of the namespace that a URL names (`file:///proc/1234/ns/net`). */
  isOf(inodeUrl: string): boolean;
  /** The interface of that name, or undefined. */
  link(name: string): Promise<Pick<Link, "alias" | "up"> | undefined>;
  /** Makes a table what is described, at one moment; counters of the same name go on. */
  replaceTable(table: Table): Promise<void>;
  /** Does nothing when there is none. */
  deleteTable(name: string): Promise<void>;
  /** The counters of a table by name; none when there is no such table. */
  counters(table: string): Promise<ReadonlyMap<string, CounterValue>>;
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
    replaceTable: async (table) => nftablesIn(namespace()).replaceTable(table),
    deleteTable: async (name) => orNone(nftablesIn(namespace()).deleteTable("inet", name)),
    counters: async (table) => nftablesIn(namespace()).counters("inet", table),
    close: () => opened?.close(),
  };
}
