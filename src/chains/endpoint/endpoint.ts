import {
  chain,
  debugState,
  LiveConnections,
  monitorChain,
  replaceable,
  type DebugState,
  type Elements,
  type MonitorConnection,
  type NetworkService,
  type RequestedAgain,
  type TraceHook,
} from "../../core/index.js";
import { connectionState } from "../../elements/connection-state/index.js";
import { beginServer } from "../../elements/begin/index.js";
import { connectionLog, requestLog } from "../../elements/connection-log/index.js";
import { monitor } from "../../elements/monitor/index.js";
import { timeout } from "../../elements/timeout/index.js";
import { trimPathServer } from "../../elements/trim-path/index.js";
import { updatePath } from "../../elements/update-path/index.js";
import { updateToken } from "../../elements/update-token/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { monitorHub } from "../../elements/monitor/index.js";

/** What an endpoint's chain is made of. */
export interface EndpointOptions {
  /** The name of this process in the path. */
  readonly name: string;
  readonly tokens: TokenGenerator;
  /** The program's life: watching the next hop ends with it. */
  readonly until: AbortSignal;
  /** What makes this endpoint what it is. */
  readonly elements: Elements<NetworkService>;
  /** In front of the monitor: who may see what, and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  readonly trace?: TraceHook | undefined;
}

/** An endpoint's services, ready for a server. */
export interface Endpoint {
  readonly networkService: NetworkService;
  readonly monitor: MonitorConnection;
  debugState(): DebugState;
  /**
   * Replaces `elements` while connections stand, then requests every connection again through the new ones.
   * Connections keep their state: a slot of a new element takes over the values of the slot of the same name.
   * An element that hands out what must be unique (addresses) is best passed again as it is: Requests that are
   * under way take from the earlier one until they have finished.
   *
   * @returns how many connections run through the new elements, and what the other Requests failed with; those
   *   connections stay as they are until their next Request
   * @throws NsmError FAILED_PRECONDITION when the elements cannot stand in this chain; nothing has changed then
   */
  replace(elements: Elements<NetworkService>): Promise<RequestedAgain>;
}

/** An endpoint, a manager or a forwarder: all are endpoints to those who call them. */
export function endpoint(options: EndpointOptions): Endpoint {
  const { name, tokens, until, elements, monitorElements = [], trace } = options;
  const hub = monitorHub({ scope: "segment", until });
  const connections = monitor({ hub, until });
  const live = new LiveConnections();
  const state = connectionState();
  const around: Elements<NetworkService> = [
    requestLog(),
    updatePath({ name }),
    beginServer({ live }),
    updateToken({ tokens }),
    state,
    connectionLog(),
    timeout({ until }),
    connections.element,
    trimPathServer(),
  ];
  const own = replaceable(elements, { state, around });
  return {
    networkService: chain([around, own.element], { trace }),
    monitor: monitorChain(monitorElements, { tail: connections.service, trace }),
    debugState: () => ({ ...debugState([around, monitorElements]), ...own.debugState() }),
    replace(others) {
      own.replace(others);
      return live.requestAll({ cause: "upstream" });
    },
  };
}
