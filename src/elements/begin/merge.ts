import { isDeepStrictEqual } from "node:util";
import type { Connection } from "../../api/index.js";

/** The three views on one connection when its user asks again. */
export interface MergeInput {
  /** What stands now, heals and refreshes included. */
  readonly stored: Connection;
  /** What the user was given last. */
  readonly returned: Connection | undefined;
  /** What the user brings. */
  readonly asked: Connection;
}

/**
 * The connection to ask for: what stands, with what the user has changed since. Labels, the endpoint's name and
 * the context can be changed this way; service, mechanism, payload and path belong to the connection.
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
