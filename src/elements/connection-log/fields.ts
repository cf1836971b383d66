import { nextSegment, pathOf, type Connection } from "../../api/index.js";

/** What identifies a connection in the logs of all programs that it passes. */
export interface ConnectionFields {
  /** The id that the client gave it: the same at every hop. */
  readonly connection: string;
  readonly service: string;
  readonly client: string;
  readonly endpoint: string;
}

/** The fields of a connection for a line of the log. Tokens and addresses are left out. */
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

/** Equal for two answers exactly when the connection takes the same way behind this hop. */
export function routeOf(connection: Connection): string {
  const { index, pathSegments } = pathOf(connection);
  const behind = nextSegment(connection) ? pathSegments.slice(index + 1) : [];
  return JSON.stringify([connection.networkServiceEndpointName, ...behind.map(({ name, id }) => [name, id])]);
}
