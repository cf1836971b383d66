import { Connection } from "../../api/index.js";
import type { ServiceEvent } from "../../chains/client/index.js";
import { withoutTokens } from "../../chains/client/service-events.js";
import { codeName, explain } from "../../core/index.js";

/** An event as one line of JSON, the connection in protobuf's JSON mapping, without tokens. */
export function eventLine(event: ServiceEvent): string {
  const connection = Connection.toJSON(withoutTokens(event.connection));
  return `${JSON.stringify({ event: event.type, connection, ...failure(event) })}\n`;
}

function failure(event: ServiceEvent): object {
  if (event.type !== "failed") return {};
  const { error, retrying } = event;
  return { error: { code: codeName(error.code), message: explain(error) }, retrying };
}
