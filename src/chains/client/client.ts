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
import { trimPathClient } from "../../elements/trim-path/index.js";
import { updatePath } from "../../elements/update-path/index.js";
import { monitorHub } from "../../elements/monitor/index.js";

/** What a client chain is made of. */
export interface ClientOptions {
  /** The name of this process in the path. */
  readonly name: string;
  readonly remotes: Remotes;
  /** The program's life: refreshing, watching and healing end with it. */
  readonly until: AbortSignal;
  /** Where Requests go. Left out in a chain whose server half chooses (nsmgr, forwarder). */
  readonly url?: string | undefined;
  /** Between dial and the call: mechanisms, labels, whatever this client adds. */
  readonly elements?: Elements<NetworkService> | undefined;
  /** Renews the connection before its token expires; a chain inside a server leaves that to the edge. */
  readonly refresh?: boolean | undefined;
  /** Rebuilds what dies; only the edge does. */
  readonly heal?: Partial<Omit<HealOptions, "until">> | false | undefined;
  readonly reselect?: Reselect | undefined;
  readonly trace?: TraceHook | undefined;
}

/** A client, ready to be called. */
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
