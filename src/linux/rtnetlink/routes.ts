import { Code, NsmError } from "../../core/index.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { ipText, parseIp, parsePrefix } from "../ip-text.js";
import { type Attribute, attributes, bytes, u32 } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, NLM_F_REPLACE } from "../netlink/message.js";
import type { NetlinkSocket } from "../netlink/socket.js";
import { linkIndex, type LinkRef, type Links } from "./links.js";
import { type Scope, scopeName, scopeNumber } from "./scope.js";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, TABLE: 15, VIA: 18 } as const;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTNH_F_ONLINK = 4;

/** The default table. The kernel keeps the routes to its own addresses in "local". */
export const mainTable = 254;
/** The table of the machine's own addresses. The kernel manages it. */
export const localTable = 255;

/** A route over one link. */
export interface Route {
  /** `10.0.0.0/8`, `::/0`. Host bits are ignored. */
  readonly destination: string;
  readonly link: LinkRef;
  readonly gateway?: string;
  /** Treats the gateway as on-link, without a route to it. Default: true if there is a gateway. */
  readonly onlink?: boolean;
  /** Routing table. Default: 254, the main table. */
  readonly table?: number;
  /** For IPv4. Default: "link" without a gateway, otherwise "universe". */
  readonly scope?: Scope;
  /** Source address for packets of this route. */
  readonly source?: string;
  /** Lower is preferred. Default: 0, which means 1,024 for IPv6. */
  readonly metric?: number;
}

/** A route as listed by the kernel. */
export interface ListedRoute {
  readonly destination: string;
  readonly family: 4 | 6;
  /** Undefined for routes without a link (blackhole, unreachable) or with several. */
  readonly linkIndex: number | undefined;
  readonly gateway: string | undefined;
  readonly onlink: boolean;
  readonly table: number;
  readonly scope: Scope;
  readonly source: string | undefined;
  readonly metric: number;
}

/** The routes of one namespace. */
export interface Routes {
  /** Adds a route. Replaces one with the same destination, table and metric. The link must be up. */
  replaceRoute(route: Route): Promise<void>;
  /** Deletes a route. Throws NOT_FOUND if none matches. */
  deleteRoute(route: Route): Promise<void>;
  /** Lists unicast routes. Default: those of all tables except the kernel's own. */
  routes(filter?: { table?: number; link?: LinkRef }): Promise<readonly ListedRoute[]>;
}

/** The local routes by which the kernel delivers IPv6 packets to a link's addresses. */
export interface OwnRoutes {
  localRoutes(linkIndex: number): Promise<readonly ListedRoute[]>;
}

export function ownRoutes(socket: NetlinkSocket): OwnRoutes {
  return {
    async localRoutes(linkIndex) {
      const header = Buffer.alloc(12);
      header[0] = AF_INET6;
      header[7] = RTN_LOCAL;
      const request = { type: RTM_GETROUTE, flags: 0, header, attributes: [u32(RTA.OIF, linkIndex)] };
      return (await socket.dump("list local routes", request))
        .filter(({ data }) => data[7] === RTN_LOCAL)
        .map(decodeRoute)
        .filter((route) => route.linkIndex === linkIndex);
    },
  };
}

export function routes(socket: NetlinkSocket, links: Links): Routes {
  async function send(type: number, flags: number, verb: string, route: Route): Promise<void> {
    const index = await linkIndex(links, route.link);
    const via = route.gateway === undefined ? "" : ` via ${route.gateway}`;
    const action = `${verb} the route ${route.destination}${via} on link ${route.link}`;
    await socket.request(action, { type, flags, ...encodeRoute(route, index, type === RTM_DELROUTE) });
  }

  return {
    replaceRoute: (route) => send(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "add", route),
    deleteRoute: (route) => send(RTM_DELROUTE, 0, "delete", route),
    async routes({ table, link } = {}) {
      const index = link === undefined ? undefined : await linkIndex(links, link);
      // The kernel filters its tables itself: an endpoint's namespace can have thousands of routes.
      const attributes: Attribute[] = [];
      if (table !== undefined) attributes.push(u32(RTA.TABLE, table));
      if (index !== undefined) attributes.push(u32(RTA.OIF, index));
      const request = { type: RTM_GETROUTE, flags: 0, header: Buffer.alloc(12), attributes };
      return (await socket.dump("list routes", request))
        .filter(({ data }) => data[7] === RTN_UNICAST)
        .map(decodeRoute)
        .filter((route) => (table === undefined ? route.table !== localTable : route.table === table))
        .filter((route) => index === undefined || route.linkIndex === index);
    },
  };
}

/** rtmsg and its attributes. A deletion lists what must match; an omitted attribute matches any value. */
export function encodeRoute(route: Route, linkIndex: number, deletion = false) {
  const destination = parsePrefix(route.destination);
  const gateway = route.gateway === undefined ? undefined : parseIp(route.gateway);
  const source = route.source === undefined ? undefined : parseIp(route.source);
  for (const part of [gateway, source]) {
    if (!part || part.family === destination.family) continue;
    throw new NsmError(
      Code.InvalidArgument,
      `route to ${route.destination} has a gateway or source of the other IP version: ${ipText(part.bytes)}`,
    );
  }
  const table = route.table ?? mainTable;
  const scope = route.scope ?? (deletion ? "nowhere" : gateway ? "universe" : "link");
  const onlink = !deletion && (route.onlink ?? gateway !== undefined);

  const header = Buffer.alloc(12);
  header[0] = destination.family;
  header[1] = destination.length;
  header[4] = table < 256 ? table : 0; // larger ones stand in the attribute only
  header[5] = deletion ? 0 : RTPROT_STATIC;
  header[6] = destination.family === AF_INET6 ? 0 : scopeNumber(scope);
  header[7] = RTN_UNICAST;
  header.writeUInt32LE(onlink ? RTNH_F_ONLINK : 0, 8);

  const list: Attribute[] = [u32(RTA.OIF, linkIndex), u32(RTA.TABLE, table)];
  if (destination.length > 0) list.push(bytes(RTA.DST, destination.bytes));
  if (gateway) list.push(bytes(RTA.GATEWAY, gateway.bytes));
  if (source) list.push(bytes(RTA.PREFSRC, source.bytes));
  if (route.metric !== undefined) list.push(u32(RTA.PRIORITY, route.metric));
  return { header, attributes: list };
}

export function decodeRoute({ data }: Message): ListedRoute {
  const found = attributes(data.subarray(12));
  const v4 = data[0] === AF_INET;
  const gateway = found.get(RTA.GATEWAY) ?? found.get(RTA.VIA)?.subarray(2);
  const source = found.get(RTA.PREFSRC);
  return {
    destination: `${ipText(found.get(RTA.DST) ?? Buffer.alloc(v4 ? 4 : 16))}/${data[1]}`,
    family: v4 ? 4 : 6,
    linkIndex: found.get(RTA.OIF)?.readUInt32LE(),
    gateway: gateway && ipText(gateway),
    onlink: (data.readUInt32LE(8) & RTNH_F_ONLINK) !== 0,
    table: found.get(RTA.TABLE)?.readUInt32LE() ?? data[4]!,
    scope: scopeName(data[6]!),
    source: source && ipText(source),
    metric: found.get(RTA.PRIORITY)?.readUInt32LE() ?? 0,
  };
}
