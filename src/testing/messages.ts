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

/** Lifetime of the tokens in sample messages, in milliseconds. */
export const TOKEN_LIFETIME_MS = 600_000;

/**
 * A Request as the client `client` sends it to its first hop at the time `now` (milliseconds since the
 * epoch). It has one path segment with a token valid for ten minutes, and one preference (KERNEL). A patched
 * `id` also appears in the path.
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

/** An endpoint `nse` that provides `icmp` and expires ten minutes after `now`. */
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
