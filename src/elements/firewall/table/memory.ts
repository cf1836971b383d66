import { addressFromBytes, addressToBytes, formatAddress, parseAddress } from "../../../net/index.js";
import { decodeName, encodeName } from "./encode-name.js";

/** An interface that a table filters. */
export interface TableEntry {
  readonly name: string;
  /** From 1 to 65,535. The conntrack zone of its client's connections, and a part of their mark. */
  readonly id: number;
  /** The addresses of its client. */
  readonly sources: readonly string[];
}

/** The state that a table stores for the process that takes it over. */
export interface Memory {
  readonly generation: number;
  /** Without an id if an older version wrote the table. */
  readonly links: readonly (Omit<TableEntry, "id"> & { readonly id: number | undefined })[];
}

/** The highest id of a link, and the highest generation. */
export const HIGHEST_NUMBER = 0xffff;
/** The bits of a connection's mark that hold the generation of the rules that allowed it. */
export const GENERATION_BITS = 0xffff;
/** The bits of a connection's mark that hold the id of the link. */
export const LINK_BITS = 0xffff_0000;

/** The mark of a link's connections that the rules of a generation have allowed. */
export function markOf({ id }: Pick<TableEntry, "id">, generation: number): number {
  return id * 0x1_0000 + generation;
}

const LONGEST_NAME = 255;

/**
 * Stores the state of a table in the names of unused counters, because the kernel keeps these with the table
 * and replaces them in the same transaction. An address that does not fit is missing after a takeover until the
 * next refresh.
 */
export function memoryOf(generation: number, links: readonly TableEntry[]): readonly string[] {
  return [
    `generation.${generation}`,
    ...links.map(({ name, id, sources }) =>
      sources.reduce(
        (text, source) => {
          const next = `${text}.${Buffer.from(addressToBytes(parseAddress(source))).toString("hex")}`;
          return next.length <= LONGEST_NAME ? next : text;
        },
        `wire.${id}.${encodeName(name)}`,
      ),
    ),
  ];
}

/** Reads the state from the counters of a table. */
export function readMemory(counters: Iterable<string>): Memory {
  let generation = 0;
  const links: Memory["links"][number][] = [];
  for (const counter of counters) {
    const [kind, first = "", second, ...rest] = counter.split(".");
    if (kind === "generation") generation = Number(first);
    if (kind !== "wire") continue;
    if (second === undefined) links.push({ name: decodeName(first), id: undefined, sources: [] });
    else links.push({ name: decodeName(second), id: Number(first), sources: rest.map(addressOf) });
  }
  return { generation, links };
}

function addressOf(hex: string): string {
  return formatAddress(addressFromBytes(Buffer.from(hex, "hex")));
}
