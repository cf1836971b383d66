import { Code, NsmError } from "../core/index.js";
import { followWorkloadApi, type WorkloadApiSourceOptions } from "./follow-workload-api.js";
import { workloadTarget } from "./workload-address.js";
import { workloadStreams } from "./workload-stream.js";
import type { X509Source } from "./x509-source.js";

/**
 * Takes the identity from a SPIFFE Workload API, such as an agent of SPIRE, and follows it: new certificates, and new
 * bundles of the own and of federated trust domains. Waits for the first identity. If the agent restarts or sends
 * something that is not usable, the previous identity stays in use.
 *
 * Revocation lists are ignored.
 *
 * Source: SPIFFE Workload API standard, X.509-SVID profile.
 *
 * @throws NsmError INVALID_ARGUMENT if there is no valid address, or the server rejects the request; UNIMPLEMENTED if
 * the server has no Workload API; DEADLINE_EXCEEDED if there is no identity in time, with the last problem
 *
 * @example
 * import { spiffeIdentity, workloadApiSource } from "nsm-sdk/identity";
 *
 * const source = await workloadApiSource({
 *   socket: "unix:///run/spire/sockets/agent.sock",
 *   pickSvid: (offered) => offered.find(({ hint }) => hint === "mesh"),
 * });
 * source.changes.subscribe(({ svid }) => logger.info({ expires: svid.expires }, "the identity was renewed"));
 * const identity = spiffeIdentity(source);
 */
export async function workloadApiSource(options: WorkloadApiSourceOptions = {}): Promise<X509Source> {
  const { socket = process.env.SPIFFE_ENDPOINT_SOCKET } = options;
  if (socket === undefined || socket === "") {
    throw new NsmError(
      Code.InvalidArgument,
      "no address of a Workload API: set SPIFFE_ENDPOINT_SOCKET, for example to unix:///run/spire/sockets/agent.sock",
    );
  }
  return followWorkloadApi(socket, workloadStreams(workloadTarget(socket)), options);
}
