import { Metadata, type CallCredentials, type Client, type ClientUnaryCall } from "@grpc/grpc-js";
import { HealthCheckRequest, HealthService } from "../api/index.js";
import { Code, codeOf } from "../core/index.js";

/** The maximum time that a working server takes to answer a health check, in milliseconds. */
const ANSWER_WITHIN_MS = 2_000;

/**
 * Sends a health check and accepts any answer as a sign of life, including "unknown service". HTTP/2 pings
 * would be cheaper, but Go servers end connections that receive them often.
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
