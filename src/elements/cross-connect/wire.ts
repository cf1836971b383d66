import { createHash } from "node:crypto";
import { z } from "zod";
import { currentSegment, pathOf, fromTimestamp, type Connection } from "../../api/index.js";
import type { Link } from "../../linux/index.js";

const wireEnd = z.object({
  /** Where the namespace file was; it may be gone while the namespace is not. */
  path: z.string(),
  /** The namespace itself: `device:inode`. */
  namespace: z.string(),
  name: z.string(),
  alias: z.string(),
  mac: z.string(),
  /** The interface's index; unknown until it is made. */
  index: z.int().optional(),
  /** Destinations of the routes that were set here. */
  routes: z.array(z.string()),
  /** Addresses of the neighbours that were set here. */
  neighbors: z.array(z.string()),
});

/** What a journal holds of a wire: enough to find it again and to know what on it is ours. */
export const wireRecord = z.object({
  version: z.literal(1),
  connection: z.string(),
  /** Milliseconds since the epoch: when the connection ends that nobody refreshes. */
  expires: z.number(),
  client: wireEnd,
  endpoint: wireEnd,
});

/** One end of a wire: which interface, in which namespace, and what was set there. */
export type WireEnd = z.infer<typeof wireEnd>;

/** A veth pair that joins a client and an endpoint. */
export type Wire = z.infer<typeof wireRecord>;

/** What tells a wire from all others: the client's namespace and the alias of the interface there. */
export function keyOf({ client }: { readonly client: Pick<WireEnd, "namespace" | "alias"> }): string {
  return `${client.namespace}/${client.alias}`;
}

/** How an interface of ours is recognised, whoever made it. */
export type Mark = Pick<WireEnd, "alias" | "mac">;

/** Aliases have 255 bytes at most; longer ids are hashed. */
const LONGEST_ID = 200;

/**
 * The alias of the interface at the client (`server-<id>`) or at the endpoint (`client-<id>`), as in Go: from the
 * id of the path's first segment, which outlives this process. A connection that passes this process again gets
 * a number behind it.
 */
export function aliasOf(connection: Connection, whose: "client" | "endpoint"): string {
  const { index, pathSegments } = pathOf(connection);
  const own = currentSegment(connection)?.name;
  const passes = pathSegments.slice(0, index).filter(({ name }) => name === own).length;
  const first = pathSegments[0]?.id ?? connection.id;
  const id =
    Buffer.byteLength(first) > LONGEST_ID || first.includes("\0") ? digest(first).toString("hex") : first;
  return `${whose === "client" ? "server" : "client"}-${id}${passes > 0 ? `-${passes}` : ""}`;
}

/**
 * The marks of an interface. The kernel takes no alias when it makes an interface, but a MAC address: one that
 * follows from what identifies the wire marks what was left by a process that died in between.
 */
export function markOf(connection: Connection, clientNamespace: string, whose: "client" | "endpoint"): Mark {
  const alias = aliasOf(connection, whose);
  const own = currentSegment(connection)?.name ?? "";
  const mac = digest(`${clientNamespace}\0${own}\0${alias}`).subarray(0, 6);
  mac[0] = (mac[0]! & 0xfc) | 0x02; // one's own choice, not a group
  return { alias, mac: mac.toString("hex").replace(/..(?=.)/g, "$&:") };
}

/** Whether an interface carries the mark; without an alias it is one that was not finished. */
export function bears({ kind, alias, mac }: Link, mark: Mark): boolean {
  if (kind !== "veth") return false;
  return alias === undefined ? mac === mark.mac : alias === mark.alias;
}

/** How long a wire may stay whose connection says nothing about its end. */
const DEFAULT_LIFE_MS = 600_000;

/** When a connection ends unless it is refreshed: with the token of whoever asked for it. */
export function expiryOf(connection: Connection, now: number): number {
  const { index, pathSegments } = pathOf(connection);
  // A refresh renews the tokens of all hops: when the first of them has run out nobody refreshes any more.
  const times = pathSegments
    .slice(0, index)
    .flatMap(({ expires }) => (expires ? [fromTimestamp(expires)] : []));
  return times.length > 0 ? Math.min(...times) : now + DEFAULT_LIFE_MS;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
