import { isDeepStrictEqual } from "node:util";
import type { Connection } from "../../api/index.js";

/** The three versions of a connection when its caller sends another Request. */
export interface MergeInput {
  /** The established connection, including changes by heals and refreshes. */
  readonly stored: Connection;
  /** The last answer to the caller. */
  readonly returned: Connection | undefined;
  /** The connection in the caller's Request. */
  readonly asked: Connection;
}

/**
 * Returns the connection to request: the established connection with the changes of the caller since the last
 * answer. The caller can change labels, endpoint name and context. Service, mechanism, payload and path belong
 * to the connection.
 */
export function mergeConnection({ stored, returned, asked }: MergeInput): Connection {
  const changed = (key: keyof Connection): boolean => !isDeepStrictEqual(asked[key], returned?.[key]);
  return {
    ...stored,
    ...(changed("labels") && { labels: asked.labels }),
    ...(changed("networkServiceEndpointName") && {
      networkServiceEndpointName: asked.networkServiceEndpointName,
    }),
    ...(changed("context") && { context: asked.context }),
  };
}
