import { nextSegment, pathOf, type Connection } from "../../api/index.js";

/** The fields that identify a connection in the logs of all programs on its path. */
export interface ConnectionFields {
  /** The id that the client assigned. It is the same at every hop. */
  readonly connection: string;
  readonly service: string;
  readonly client: string;
  readonly endpoint: string;
}

/** The log fields of a connection, without tokens and addresses. */
export function connectionFields(connection: Connection): ConnectionFields {
  const [first] = pathOf(connection).pathSegments;
  return {
    connection: first?.id ?? connection.id,
    service: connection.networkService,
    client: first?.name ?? "",
    endpoint: connection.networkServiceEndpointName,
  };
}

/** The names of all hops, from client to endpoint. */
export function hops(connection: Connection): string {
  return pathOf(connection)
    .pathSegments.map(({ name }) => name)
    .join(" > ");
}

/** Equal for two answers if and only if the connection takes the same route after this hop. */
export function routeOf(connection: Connection): string {
  const { index, pathSegments } = pathOf(connection);
  const behind = nextSegment(connection) ? pathSegments.slice(index + 1) : [];
  return JSON.stringify([connection.networkServiceEndpointName, ...behind.map(({ name, id }) => [name, id])]);
}
