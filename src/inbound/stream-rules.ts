import {
  ConnectionEventType,
  type ConnectionEvent,
  type HealthCheckResponse,
  type NetworkServiceEndpointResponse,
  type NetworkServiceResponse,
} from "../api/index.js";
import { MAX_CONNECTIONS } from "../wire/index.js";
import type { QueueRules } from "./reader-queue.js";

/**
 * Connection events, by connection. A large initial set is sent as one INITIAL_STATE_TRANSFER followed by
 * UPDATEs: in one message it could exceed the peer's size limit. An empty UPDATE marks its end.
 */
export const connectionEvents: QueueRules<ConnectionEvent> = {
  key: (event) => (isChange(event) ? Object.keys(event.connections)[0] : undefined),
  gone: ({ type }) => type === ConnectionEventType.DELETE,
  split(event) {
    const entries = Object.entries(event.connections);
    if (isChange(event)) {
      return entries.length === 1 ? [event] : entries.map((entry) => ({ ...event, connections: one(entry) }));
    }
    if (entries.length <= MAX_CONNECTIONS) return [event];
    return [
      { ...event, connections: Object.fromEntries(entries.slice(0, MAX_CONNECTIONS)) },
      ...entries
        .slice(MAX_CONNECTIONS)
        .map((entry) => ({ type: ConnectionEventType.UPDATE, connections: one(entry) })),
      { type: ConnectionEventType.UPDATE, connections: {} },
    ];
  },
  join(first, second) {
    if (!isChange(first) || first.type !== second.type) return undefined;
    const [ids, more] = [Object.keys(first.connections), Object.keys(second.connections)];
    // The empty UPDATE that ends an initial set is never joined.
    if (ids.length === 0 || more.length === 0) return undefined;
    if (ids.length >= MAX_CONNECTIONS || more.some((id) => ids.includes(id))) return undefined;
    return { ...first, connections: { ...first.connections, ...second.connections } };
  },
};

function isChange({ type }: ConnectionEvent): boolean {
  return type === ConnectionEventType.UPDATE || type === ConnectionEventType.DELETE;
}

function one<T>([id, connection]: [string, T]): { [id: string]: T } {
  return { [id]: connection };
}

/** Answers of a Find, by name of the network service. */
export const foundNetworkServices: QueueRules<NetworkServiceResponse> = {
  key: ({ networkService }) => networkService?.name,
  gone: ({ deleted }) => deleted,
};

/** Answers of a Find, by name of the endpoint. */
export const foundEndpoints: QueueRules<NetworkServiceEndpointResponse> = {
  key: ({ networkServiceEndpoint }) => networkServiceEndpoint?.name,
  gone: ({ deleted }) => deleted,
};

/** A health watch concerns one service. */
export const healthChanges: QueueRules<HealthCheckResponse> = { key: () => "", gone: () => false };
