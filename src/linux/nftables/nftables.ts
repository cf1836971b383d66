import { Code, codeOf, NsmError } from "../../core/index.js";
import type { NetworkNamespace } from "../namespace.js";
import { attributes, be32, text, textOf } from "../netlink/attributes.js";
import type { Acknowledgement, Message } from "../netlink/message.js";
import { NETLINK_NETFILTER } from "../netlink/open.js";
import { netlinkRefusal, type NetlinkSocket, netlinkSocket } from "../netlink/socket.js";
import { decodeChain, decodeTable, replacement, type Step, type Table, tableStep } from "./table.js";
import { type Family, familyOf, NFT_MSG, nftMessage, transaction } from "./encoding.js";

const CHAIN_TABLE = 1;
const OBJECT = { TABLE: 1, NAME: 2, TYPE: 3, DATA: 4 } as const;
const COUNTER = { BYTES: 1, PACKETS: 2 } as const;
const OBJECT_COUNTER = 1;
/** Constants of include/uapi/linux/netfilter/nfnetlink_conntrack.h. */
const CONNECTION = { SUBSYSTEM: 1, DELETE: 2, MARK: 8, MARK_MASK: 21 } as const;

/** What a named counter has counted. */
export interface CounterValue {
  readonly packets: number;
  readonly bytes: number;
}

/** A table as listed by the kernel. */
export interface ListedTable {
  readonly family: Family;
  readonly name: string;
  /** Owner of the table: a running process, an exited process, or none. See {@link Table.owned}. */
  readonly owner: "process" | "gone" | "none";
}

/** The packet filter of one namespace. */
export interface Nftables {
  /**
   * Replaces the table atomically: a packet sees either the old or the new table. Creates it if it does not
   * exist. Tracked connections stay tracked, and counters of the same name keep their count. If the kernel
   * rejects any part, the old table remains and the error names the part.
   */
  replaceTable(table: Table): Promise<void>;
  /** Deletes the table. Throws NOT_FOUND if it does not exist. */
  deleteTable(family: Family, name: string): Promise<void>;
  tables(): Promise<readonly ListedTable[]>;
  /** The named counters of a table, in no particular order. Empty if the table does not exist. */
  counters(family: Family, table: string): Promise<ReadonlyMap<string, CounterValue>>;
  /**
   * Removes connections from tracking whose mark has the value `mark` in the bits of `mask`. Their next
   * packet starts a new connection.
   */
  forgetConnections(marked: { readonly mark: number; readonly mask: number }): Promise<void>;
}

const opened = new WeakMap<NetworkNamespace, Nftables>();

/**
 * The packet filter of a namespace. The first call opens it, later calls return the same object, and closing
 * the namespace closes it.
 *
 * @example
 * import { accept, counter, ctState, nftablesIn, rule, tcp } from "nsm-sdk/linux/nftables";
 *
 * await nftablesIn(namespaces.endpoint).replaceTable({
 *   family: "inet",
 *   name: "firewall",
 *   counters: ["web"],
 *   chains: [
 *     {
 *       name: "in",
 *       hook: { name: "input", policy: "drop" },
 *       rules: [
 *         rule([ctState("established", "related"), accept()]),
 *         rule([tcp("dport").eq(80), counter("web"), accept()]),
 *       ],
 *     },
 *   ],
 * });
 */
export function nftablesIn(namespace: NetworkNamespace): Nftables {
  const known = opened.get(namespace);
  if (known && !namespace.closed) return known;
  const made = nftables(netlinkSocket(namespace, NETLINK_NETFILTER));
  opened.set(namespace, made);
  return made;
}

function nftables(socket: NetlinkSocket): Nftables {
  async function commit(action: string, steps: readonly Step[]): Promise<void> {
    // The last request is always acknowledged, so that success is visible.
    const requests = steps.map(({ request }, i) => ({ ...request, quiet: i < steps.length - 1 }));
    const answers = await socket.batch(action, transaction(requests));
    for (const [i, { end }] of answers.entries()) {
      if (!end || end.errno === 0) continue;
      throw refused(action, steps[i - 1], end); // the first message only opens the transaction
    }
    if (answers.at(-2)?.end) return;
    throw new NsmError(
      Code.Internal,
      `cannot ${action} in ${socket.namespace.name}: the kernel sent no reply`,
    );
  }

  function refused(action: string, step: Step | undefined, end: Acknowledgement): NsmError {
    const error = netlinkRefusal(step ? `${action}: ${step.subject}` : action, socket.namespace, end);
    // Counters and chains were checked before. What the kernel did not find is the module for this statement.
    if (!step?.rule || error.code !== Code.NotFound) return error;
    return new NsmError(
      Code.Unimplemented,
      `this kernel does not support this in such a table: ${error.message}`,
    );
  }

  /** The kernel reports the table of another process as a missing privilege. */
  async function explained(error: unknown, { family, name }: Table): Promise<unknown> {
    if (codeOf(error) !== Code.PermissionDenied) return error;
    const found = (await operations.tables()).find((table) => table.family === family && table.name === name);
    if (found?.owner !== "process") return error;
    const sentence = `cannot set up nftables table ${name} in ${socket.namespace.name}: another process owns it`;
    return new NsmError(Code.AlreadyExists, sentence, { cause: error });
  }

  async function chainsOf(family: Family, table: string): Promise<ReadonlyMap<string, string>> {
    const request = nftMessage(NFT_MSG.GETCHAIN, family, [text(CHAIN_TABLE, table)]);
    const listed = (await socket.dump(`list the chains of table ${table}`, request)).map(decodeChain);
    return new Map(listed.filter((chain) => chain.table === table).map(({ name, key }) => [name, key]));
  }

  const operations: Nftables = {
    async replaceTable(table) {
      const { family, name } = table;
      const [chains, counters] = [await chainsOf(family, name), await operations.counters(family, name)];
      const existing = { chains, counters: new Set(counters.keys()) };
      const action = `set up nftables table ${name}`;
      try {
        await commit(action, replacement(table, existing));
      } catch (error) {
        if (!table.owned || codeOf(error) !== Code.Unimplemented) throw await explained(error, table);
        // An older kernel, or a table created without protection.
        await commit(action, replacement({ ...table, owned: false }, existing));
      }
    },
    deleteTable: (family, name) =>
      commit(`delete nftables table ${name}`, [tableStep(NFT_MSG.DELTABLE, family, name)]),
    async tables() {
      const listed = await socket.dump("list nftables tables", nftMessage(NFT_MSG.GETTABLE, undefined, []));
      return listed.flatMap(({ data }) => {
        const [family, table] = [familyOf(data[0]!), decodeTable(data)];
        return family && table ? [{ family, ...table }] : [];
      });
    },
    async counters(family, table) {
      const filter = [text(OBJECT.TABLE, table), be32(OBJECT.TYPE, OBJECT_COUNTER)];
      const request = nftMessage(NFT_MSG.GETOBJ, family, filter);
      const listed = await socket.dump(`list the counters of table ${table}`, request);
      return new Map(listed.map(decodeCounter));
    },
    async forgetConnections({ mark, mask }) {
      const attributes = [be32(CONNECTION.MARK, mark), be32(CONNECTION.MARK_MASK, mask)];
      const type = (CONNECTION.SUBSYSTEM << 8) | CONNECTION.DELETE;
      await socket.request("forget connections", { type, flags: 0, header: Buffer.alloc(4), attributes });
    },
  };
  return operations;
}

function decodeCounter({ data }: Message): [string, CounterValue] {
  const found = attributes(data.subarray(4));
  const counts = attributes(found.get(OBJECT.DATA) ?? Buffer.alloc(0));
  const count = (type: number) => Number(counts.get(type)?.readBigUInt64BE() ?? 0n);
  return [
    textOf(found.get(OBJECT.NAME) ?? Buffer.alloc(0)),
    { packets: count(COUNTER.PACKETS), bytes: count(COUNTER.BYTES) },
  ];
}
