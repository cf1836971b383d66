import { Metadata, type CallCredentials, type Client, type ClientUnaryCall } from "@grpc/grpc-js";
import { HealthCheckRequest, HealthService } from "../api/index.js";
import { Code, codeOf } from "../core/index.js";

/** How long a server that works takes to answer at the most, however slow what it is asked for may be. */
const ANSWER_WITHIN_MS = 2_000;

/**
 * Asks a server for any answer at all: that it does not know health checks is an answer, too. HTTP/2 pings would do,
 * but Go servers end connections on which they come often.
 */
export function pingServer(
  client: Client,
  credentials: CallCredentials,
  onOutcome: (answered: boolean) => void,
): ClientUnaryCall {
  const { path, requestSerialize, responseDeserialize } = HealthService.check;
  return client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    HealthCheckRequest.create(),
    new Metadata(),
    { credentials, deadline: Date.now() + ANSWER_WITHIN_MS },
    (error) => onOutcome(error === null || codeOf(error) !== Code.DeadlineExceeded),
  );
}
