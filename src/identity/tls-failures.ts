import type { TLSSocket } from "node:tls";
import { Code, NsmError } from "../core/index.js";
import { peerChain } from "./tls-context.js";
import { verifySvid, type Bundles } from "./verify.js";
import type { X509Svid } from "./x509-source.js";

/** The end of the connection that caused the failure. */
type Side = "client" | "server";

/**
 * Converts a handshake error of Node or OpenSSL to an error that explains it. Configuration errors are
 * UNAUTHENTICATED, because a retry cannot fix them. A broken connection is UNAVAILABLE.
 *
 * @param peer the other end
 * @param own the SVID that this end showed
 */
export function tlsFailure(error: unknown, peer: Side, own: X509Svid): NsmError {
  if (error instanceof NsmError) return error;
  const { code = "", message = String(error) } = error as NodeJS.ErrnoException;
  const alert = /^ERR_SSL_(?:TLSV\d+|SSLV3)_ALERT_(\w+)$/.exec(code)?.[1];
  if (
    /^ERR_SSL_(WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE)$/.test(code)
  ) {
    return new NsmError(
      Code.Unauthenticated,
      `the ${peer} does not use TLS: use an identity on both sides, or --insecure on both`,
    );
  }
  if (alert !== undefined && /CERT|UNKNOWN_CA|ACCESS_DENIED/.test(alert)) {
    const reason = alert.toLowerCase().replaceAll("_", " ");
    return new NsmError(Code.Unauthenticated, `the ${peer} refused the certificate of ${own.id}: ${reason}`);
  }
  if (alert !== undefined || /PROTOCOL|CIPHER|VERSION/.test(code)) {
    return new NsmError(
      Code.Unauthenticated,
      `the ${peer} shares no TLS version, cipher or protocol with this end: ${code}`,
    );
  }
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") {
    return new NsmError(Code.Unavailable, `the ${peer} did not complete the TLS handshake in time`);
  }
  if (["ECONNRESET", "EPIPE"].includes(code)) {
    return new NsmError(
      Code.Unavailable,
      `the ${peer} aborted the TLS handshake; it may not trust the certificate of ${own.id}, which expires at ${own.expires.toISOString()}`,
    );
  }
  return new NsmError(
    Code.Unavailable,
    `the TLS handshake with the ${peer} failed: ${code === "" ? message : code}`,
  );
}

/**
 * Checks that OpenSSL accepted the peer's certificates.
 *
 * @throws NsmError UNAUTHENTICATED with the identity that the peer showed and the reason
 */
export function assertAuthorized(socket: TLSSocket, bundles: Bundles, now: number): void {
  if (socket.authorized) return;
  // Only the leaf: verifying the intermediates of an untrusted peer would waste time.
  const id = verifySvid(peerChain(socket.getPeerCertificate()).slice(0, 1), bundles, now);
  const verdict = String(socket.authorizationError);
  throw new NsmError(Code.Unauthenticated, `OpenSSL does not accept the certificate of ${id}: ${verdict}`);
}
