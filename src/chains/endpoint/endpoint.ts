import {
  chain,
  connectionState,
  debugState,
  type DebugState,
  type Elements,
  type MonitorConnection,
  type NetworkService,
  type TraceHook,
} from "../../core/index.js";
import { beginServer } from "../../elements/begin/index.js";
import { monitor } from "../../elements/monitor/index.js";
import { timeout } from "../../elements/timeout/index.js";
import { trimPathServer } from "../../elements/trim-path/index.js";
import { updatePath } from "../../elements/update-path/index.js";
import { updateToken } from "../../elements/update-token/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { monitorHub } from "../../outbound/index.js";

/** What an endpoint's chain is made of. */
export interface EndpointOptions {
  /** The name of this process in the path. */
  readonly name: string;
  readonly tokens: TokenGenerator;
  /** The program's life: watching the next hop ends with it. */
  readonly until: AbortSignal;
  /** What makes this endpoint what it is. */
  readonly elements: Elements<NetworkService>;
  readonly trace?: TraceHook | undefined;
}

/** An endpoint's services, ready for a server. */
export interface Endpoint {
  readonly networkService: NetworkService;
  readonly monitor: MonitorConnection;
  debugState(): DebugState;
}

/** An endpoint, a manager or a forwarder: all are endpoints to those who call them. */
export function endpoint(options: EndpointOptions): Endpoint {
  const { name, tokens, until, elements, trace } = options;
  const hub = monitorHub({ scope: "segment", until });
  const connections = monitor({ hub, until });
  const list: Elements<NetworkService> = [
    updatePath({ name }),
    beginServer(),
    updateToken({ tokens }),
    connectionState(),
    timeout({ until }),
    connections.element,
    trimPathServer(),
    elements,
  ];
  return {
    networkService: chain(list, { trace }),
    monitor: connections.service,
    debugState: () => debugState(list),
  };
}
