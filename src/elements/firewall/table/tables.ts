import { readMemory } from "./memory.js";
import { encodeName } from "./encode-name.js";
import type { PacketFilter } from "../element/packet-filter.js";

const TABLE_PREFIX = "nsm-firewall-";

/** The table name of a firewall, from the endpoint's name. */
export function tableName(endpoint: string): string {
  return `${TABLE_PREFIX}${encodeName(endpoint)}`;
}

/** Removes the tables of firewalls whose process has ended and whose interfaces are gone. */
export async function removeAbandoned(filter: PacketFilter, own: string): Promise<void> {
  for (const table of await filter.abandonedTables()) {
    if (table === own || !table.startsWith(TABLE_PREFIX)) continue;
    const { links } = readMemory((await filter.counters(table)).keys());
    const standing = await Promise.all(links.map(({ name }) => filter.link(name)));
    if (standing.every((link) => link === undefined)) await filter.deleteTable(table);
  }
}
