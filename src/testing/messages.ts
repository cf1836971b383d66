import {
  Connection,
  Mechanism,
  MechanismClass,
  MechanismType,
  NetworkServiceEndpoint,
  NetworkServiceRequest,
  Path,
  PathSegment,
  Payload,
  toTimestamp,
} from "../api/index.js";

/** How long the tokens of made-up messages hold, in milliseconds. */
export const TOKEN_LIFETIME_MS = 600_000;

/**
 * A Request as a client called `client` sends it to its first hop, at the time `now` (milliseconds since the
 * epoch): one path segment with a token for ten minutes, one preference (KERNEL). A patched `id` goes into the
 * path as well.
 */
export function sampleRequest(now: number, patch: Partial<Connection> = {}): NetworkServiceRequest {
  return NetworkServiceRequest.create({
    connection: sampleConnection(now, patch),
    mechanismPreferences: [
      Mechanism.create({
        cls: MechanismClass.Local,
        type: MechanismType.Kernel,
        parameters: { name: "nsm-0" },
      }),
    ],
  });
}

/** The connection of {@link sampleRequest}. */
export function sampleConnection(now: number, patch: Partial<Connection> = {}): Connection {
  const id = patch.id ?? "8c5d6c2e-6b0a-4a43-9a0d-3f0f4f5f0001";
  const segment = PathSegment.create({
    name: "client",
    id,
    token: "token-of-client",
    expires: toTimestamp(now + TOKEN_LIFETIME_MS),
  });
  const connection = Connection.create({
    id,
    networkService: "icmp",
    payload: Payload.Ethernet,
    path: Path.create({ index: 0, pathSegments: [segment] }),
  });
  return { ...connection, ...patch };
}

/** An endpoint called `nse` that provides `icmp`, with ten minutes to live from `now` on. */
export function sampleEndpoint(
  now: number,
  patch: Partial<NetworkServiceEndpoint> = {},
): NetworkServiceEndpoint {
  const endpoint = NetworkServiceEndpoint.create({
    name: "nse",
    networkServiceNames: ["icmp"],
    url: "tcp://127.0.0.1:5001",
    expirationTime: toTimestamp(now + TOKEN_LIFETIME_MS),
  });
  return { ...endpoint, ...patch };
}
