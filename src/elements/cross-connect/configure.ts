import { Code, codeOf, log, type Context } from "../../core/index.js";
import { mainTable, type ListedNeighbor, type Neighbor, type Route } from "../../linux/index.js";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../../net/index.js";
import type { EndConfig } from "./end-config.js";
import type { Namespace } from "./kernel.js";
import type { WireEnd } from "./wire.js";

/** The settings made on an interface, which must be removed once they are no longer requested. */
export type Applied = Pick<WireEnd, "routes" | "neighbors">;

/**
 * Configures an interface. Changes only the settings that differ, and removes only the routes and neighbors
 * listed in `before`.
 */
export async function configure(
  namespace: Namespace,
  index: number,
  wanted: EndConfig,
  before: Applied,
): Promise<Applied> {
  const link = await namespace.link(index);
  if (!link.up) await namespace.setLink(index, { up: true });
  if (wanted.mtu > 0 && link.mtu !== wanted.mtu) await namespace.setLink(index, { mtu: wanted.mtu });
  await setAddresses(namespace, index, wanted.addresses);
  await setRoutes(namespace, index, wanted.routes, before.routes);
  await setNeighbors(namespace, index, wanted.neighbors, before.neighbors);
  return {
    routes: wanted.routes.map(({ destination }) => destination),
    neighbors: wanted.neighbors.map(({ address }) => address),
  };
}

/**
 * Enables unprivileged pings in a namespace, which clients use to check a vWire, and IPv6 on a new interface
 * that gets addresses.
 */
export function prepare(ctx: Context, namespace: Namespace, link: string, { addresses }: EndConfig): void {
  try {
    namespace.allowPing();
  } catch (error) {
    log(ctx).warn({ err: error, link }, "could not enable unprivileged pings in the namespace");
  }
  if (addresses.length === 0) return;
  try {
    namespace.enableIpv6(link);
  } catch (error) {
    if (addresses.some((address) => address.includes(":"))) throw error;
    log(ctx).debug({ err: error, link }, "could not enable IPv6 on the interface");
  }
}

async function setAddresses(namespace: Namespace, link: number, wanted: readonly string[]): Promise<void> {
  const listed = async (): Promise<Set<string>> => {
    const found = (await namespace.addresses(link)).filter(({ scope }) => scope === "universe");
    return new Set(found.map(({ address }) => formatPrefix(parsePrefix(address))));
  };
  const add = async (there: Set<string>): Promise<void> => {
    for (const address of wanted) if (!there.has(address)) await namespace.addAddress(link, address);
  };
  const there = await listed();
  const unwanted = [...there].filter((address) => !wanted.includes(address));
  // New addresses first, because an interface loses its routes with its last address.
  await add(there);
  for (const address of unwanted) await gone(namespace.removeAddress(link, address));
  // With an address, the kernel also removes later addresses of the same network.
  if (unwanted.length > 0) await add(await listed());
}

async function setRoutes(
  namespace: Namespace,
  link: number,
  wanted: readonly Omit<Route, "link">[],
  before: readonly string[],
): Promise<void> {
  const destinations = new Set(wanted.map(({ destination }) => destination));
  for (const destination of before) {
    if (!destinations.has(destination)) await gone(namespace.deleteRoute({ link, destination }));
  }
  const listed = await namespace.routes({ table: mainTable, link });
  const there = new Set(
    listed.map(({ destination, family, gateway, scope }) =>
      routeText(formatPrefix(parsePrefix(destination)), gateway, family === 4 ? scope : undefined),
    ),
  );
  for (const route of wanted) {
    const { destination, gateway, scope } = route;
    const text = routeText(destination, gateway, destination.includes(":") ? undefined : scope);
    if (!there.has(text)) await namespace.replaceRoute({ ...route, link });
  }
}

function routeText(destination: string, gateway: string | undefined, scope: string | undefined): string {
  return `${destination} ${gateway ? formatAddress(parseAddress(gateway)) : ""} ${scope ?? ""}`;
}

async function setNeighbors(
  namespace: Namespace,
  link: number,
  wanted: readonly Omit<Neighbor, "link">[],
  before: readonly string[],
): Promise<void> {
  const addresses = new Set(wanted.map(({ address }) => address));
  for (const address of before) {
    if (!addresses.has(address)) await gone(namespace.deleteNeighbor({ link, address }));
  }
  if (wanted.length === 0) return;
  const there = new Map<string, ListedNeighbor>();
  for (const neighbor of await namespace.neighbors(link)) {
    there.set(formatAddress(parseAddress(neighbor.address)), neighbor);
  }
  for (const neighbor of wanted) {
    const known = there.get(neighbor.address);
    const same =
      known?.mac === neighbor.mac && (known.state === "permanent") === (neighbor.state === "permanent");
    if (!same) await namespace.replaceNeighbor({ ...neighbor, link });
  }
}

/** Waits for a removal. NOT_FOUND counts as success. */
async function gone(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (codeOf(error) !== Code.NotFound) throw error;
  }
}
