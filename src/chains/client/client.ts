import {
  chain,
  debugState,
  type DebugState,
  type Elements,
  type Remotes,
  type NetworkService,
  type Reselect,
  type TraceHook,
} from "../../core/index.js";
import { connectionState } from "../../elements/connection-state/index.js";
import { beginClient } from "../../elements/begin/index.js";
import { clientUrl } from "../../elements/client-url/index.js";
import { compensate } from "../../elements/compensate/index.js";
import { connectClient } from "../../elements/connect/index.js";
import { dial } from "../../elements/dial/index.js";
import { heal, type HealOptions } from "../../elements/heal/index.js";
import { refresh } from "../../elements/refresh/index.js";
import { sendFdClient } from "../../elements/send-fd/index.js";
import { trimPathClient } from "../../elements/trim-path/index.js";
import { updatePath } from "../../elements/update-path/index.js";
import { monitorHub } from "../../elements/monitor/index.js";

/** Options of client(). */
export interface ClientOptions {
  /** Name of this process in the path. */
  readonly name: string;
  readonly remotes: Remotes;
  /** The lifetime of the program. Ends refresh, monitoring and heal. */
  readonly until: AbortSignal;
  /** URL of the next hop. Omit it in a chain whose server side selects the next hop (nsmgr, forwarder). */
  readonly url?: string | undefined;
  /** Elements between dial and the call, such as mechanisms and labels. Default: none. */
  readonly elements?: Elements<NetworkService> | undefined;
  /**
   * Whether to renew the connection before its token expires. Set it to false in a chain inside a server,
   * because the edge refreshes. Default: true.
   */
  readonly refresh?: boolean | undefined;
  /** Options of heal(), or false to disable it. Only the edge of a path heals. Default: enabled. */
  readonly heal?: Partial<Omit<HealOptions, "until">> | false | undefined;
  readonly reselect?: Reselect | undefined;
  readonly trace?: TraceHook | undefined;
}

/** A client that is ready for calls. */
export interface Client {
  readonly networkService: NetworkService;
  debugState(): DebugState;
}

/** The client's elements, in order. */
function clientElements(options: ClientOptions): Elements<NetworkService> {
  const { name, remotes, until, url, elements = [] } = options;
  return [
    updatePath({ name }),
    beginClient({ reselect: options.reselect }),
    connectionState(),
    options.refresh === false ? [] : refresh({ until }),
    url === undefined ? [] : clientUrl(url),
    options.heal === false ? [] : healing(options),
    dial({ remotes }),
    compensate(),
    elements,
    sendFdClient(),
    trimPathClient(),
    connectClient(),
  ];
}

function healing({ until, heal: own }: ClientOptions): Elements<NetworkService> {
  const hub = (own !== false && own?.hub) || monitorHub({ scope: "connection", until });
  return [heal({ ...own, hub, until })];
}

/**
 * The client chain of an edge process.
 *
 * @example
 * import { client, Context } from "nsm-sdk";
 *
 * const nsc = client({ name: "nsc-0", url: "unix:///var/lib/networkservicemesh/nsm.io.sock", remotes, until });
 * const connection = await nsc.networkService.request(Context.background(), request);
 */
export function client(options: ClientOptions): Client {
  const elements = clientElements(options);
  return {
    networkService: chain(elements, { trace: options.trace }),
    debugState: () => debugState(elements),
  };
}
