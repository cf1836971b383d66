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
import { sendFdServer } from "../../elements/send-fd/index.js";
import { timeout } from "../../elements/timeout/index.js";
import { trimPathServer } from "../../elements/trim-path/index.js";
import { updatePath } from "../../elements/update-path/index.js";
import { updateToken } from "../../elements/update-token/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { monitorHub } from "../../elements/monitor/index.js";

/** Options of endpoint(). */
export interface EndpointOptions {
  /** Name of this process in the path. */
  readonly name: string;
  readonly tokens: TokenGenerator;
  /** The lifetime of the program. Ends the monitoring of next hops. */
  readonly until: AbortSignal;
  /** The elements that are specific to this endpoint. */
  readonly elements: Elements<NetworkService>;
  /** Elements before the monitor, for authorization and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The services of an endpoint, ready for a server. */
export interface Endpoint {
  readonly networkService: NetworkService;
  readonly monitor: MonitorConnection;
  debugState(): DebugState;
  /**
   * Replaces `elements` while connections are established, then requests every connection again through the new
   * elements. Connections keep their state: a slot of a new element takes over the values of the slot of the
   * same name. Pass an element that allocates unique values, such as addresses, unchanged: Requests in progress
   * allocate from the earlier element until they finish.
   *
   * @returns the number of connections that use the new elements, and the failures of the other Requests; those
   * connections stay unchanged until their next Request
   * @throws NsmError FAILED_PRECONDITION if the order of the elements is invalid in this chain; the earlier
   * elements then stay
   */
  replace(elements: Elements<NetworkService>): Promise<RequestedAgain>;
}

/**
 * Creates the server chain of an endpoint, a manager or a forwarder. To their callers, all three are endpoints.
 */
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
    sendFdServer(),
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
