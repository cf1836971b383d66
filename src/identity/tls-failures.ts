import type { TLSSocket } from "node:tls";
import { Code, NsmError } from "../core/index.js";
import { peerChain } from "./tls-context.js";
import { verifySvid, type Bundles } from "./verify.js";
import type { X509Svid } from "./x509-source.js";

/** Which end of the connection made the mistake. */
type Side = "client" | "server";

/**
 * What Node or OpenSSL reports about a failed handshake as an error that names the mistake. Mistakes of configuration
 * are UNAUTHENTICATED: calling again does not correct them. A broken connection is UNAVAILABLE.
 *
 * @param peer the other end
 * @param own what this end shows
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
      `the ${peer} does not speak TLS: use an identity on both sides, or --insecure on both`,
    );
  }
  if (alert !== undefined && /CERT|UNKNOWN_CA|ACCESS_DENIED/.test(alert)) {
    const reason = alert.toLowerCase().replaceAll("_", " ");
    return new NsmError(Code.Unauthenticated, `the ${peer} refused the certificate of ${own.id}: ${reason}`);
  }
  if (alert !== undefined || /PROTOCOL|CIPHER|VERSION/.test(code)) {
    return new NsmError(
      Code.Unauthenticated,
      `the ${peer} has no version, cipher or protocol of TLS in common with this end: ${code}`,
    );
  }
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") {
    return new NsmError(Code.Unavailable, `the ${peer} did not complete the TLS handshake in time`);
  }
  if (["ECONNRESET", "EPIPE"].includes(code)) {
    return new NsmError(
      Code.Unavailable,
      `the ${peer} broke off the TLS handshake; it may not trust the certificate of ${own.id}, which expires at ${own.expires.toISOString()}`,
    );
  }
  return new NsmError(
    Code.Unavailable,
    `the TLS handshake with the ${peer} failed: ${code === "" ? message : code}`,
  );
}

/**
 * Checks that OpenSSL accepted the certificates that the peer showed.
 *
 * @throws NsmError UNAUTHENTICATED saying who showed what, and what is wrong with it
 */
export function assertAuthorized(socket: TLSSocket, bundles: Bundles, now: number): void {
  if (socket.authorized) return;
  // Only the leaf: intermediates of a peer that is not trusted are not worth any work.
  const id = verifySvid(peerChain(socket.getPeerCertificate()).slice(0, 1), bundles, now);
  const verdict = String(socket.authorizationError);
  throw new NsmError(Code.Unauthenticated, `OpenSSL does not accept the certificate of ${id}: ${verdict}`);
}
