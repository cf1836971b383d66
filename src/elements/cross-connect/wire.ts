import { createHash } from "node:crypto";
import { z } from "zod";
import { currentSegment, pathOf, fromTimestamp, type Connection } from "../../api/index.js";
import type { Link } from "../../linux/index.js";

const wireEnd = z.object({
  /** A path of the namespace, if this forwarder knows one. The namespace can outlive it. */
  path: z.string().optional(),
  /** The id by which the forwarder's own namespace knows it: see `namespaceId`. */
  reachableId: z.int().optional(),
  /** Identifies the namespace: `device:inode`. */
  namespace: z.string(),
  name: z.string(),
  alias: z.string(),
  mac: z.string(),
  /** Index of the interface. Unset until the interface is created. */
  index: z.int().optional(),
  /** Destinations of the routes that this forwarder added. */
  routes: z.array(z.string()),
  /** Addresses of the neighbors that this forwarder added. */
  neighbors: z.array(z.string()),
});

/** The journal record of a vWire. It is sufficient to find the vWire and the settings that this forwarder made. */
export const wireRecord = z.object({
  version: z.literal(1),
  connection: z.string(),
  /** Expiry of the connection unless it is refreshed, in milliseconds since the epoch. */
  expires: z.number(),
  client: wireEnd,
  endpoint: wireEnd,
});

/** One end of a vWire: its interface, namespace and settings. */
export type WireEnd = z.infer<typeof wireEnd>;

/** A veth pair that joins a client and an endpoint. */
export type Wire = z.infer<typeof wireRecord>;

/** The unique key of a vWire: the client's namespace and the alias of the interface there. */
export function keyOf({ client }: { readonly client: Pick<WireEnd, "namespace" | "alias"> }): string {
  return `${client.namespace}/${client.alias}`;
}

/** The marks that identify an interface of this forwarder, even if an earlier process created it. */
export type Mark = Pick<WireEnd, "alias" | "mac">;

/** Aliases have at most 255 bytes. Longer ids are hashed. */
const LONGEST_ID = 200;

/**
 * The alias of the interface at the client (`server-<id>`) or at the endpoint (`client-<id>`), as in Go. The id
 * comes from the first segment of the path, which outlives this process. If a connection passes through this process
 * again, a number is appended.
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
 * The marks of an interface. The kernel cannot set an alias when it creates an interface, but it can set a MAC
 * address. The MAC address is derived from the key of the vWire, so it marks an interface whose creation a
 * crash interrupted.
 */
export function markOf(connection: Connection, clientNamespace: string, whose: "client" | "endpoint"): Mark {
  const alias = aliasOf(connection, whose);
  const own = currentSegment(connection)?.name ?? "";
  const mac = digest(`${clientNamespace}\0${own}\0${alias}`).subarray(0, 6);
  mac[0] = (mac[0]! & 0xfc) | 0x02; // locally administered, unicast
  return { alias, mac: mac.toString("hex").replace(/..(?=.)/g, "$&:") };
}

/**
 * Whether an interface has the mark. An interface without an alias was not completed and is compared by MAC
 * address.
 */
export function bears({ kind, alias, mac }: Link, mark: Mark): boolean {
  if (kind !== "veth") return false;
  return alias === undefined ? mac === mark.mac : alias === mark.alias;
}

/** Lifetime of a vWire whose connection has no expiry, in milliseconds. */
const DEFAULT_LIFE_MS = 600_000;

/** When a connection expires unless it is refreshed: when the first token of the earlier hops expires. */
export function expiryOf(connection: Connection, now: number): number {
  const { index, pathSegments } = pathOf(connection);
  // A refresh renews the tokens of all hops. Once one of them has expired, no more refreshes come.
  const times = pathSegments
    .slice(0, index)
    .flatMap(({ expires }) => (expires ? [fromTimestamp(expires)] : []));
  return times.length > 0 ? Math.min(...times) : now + DEFAULT_LIFE_MS;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
