import { Code, NsmError, type Peer } from "../core/index.js";
import { parseToken } from "./token.js";

/** The subject that a token claims. Undefined for text that is not a token; only policies may reject it. */
export function subjectOf(token: string): string | undefined {
  try {
    return parseToken(token).sub;
  } catch {
    return undefined;
  }
}

/**
 * Rejects a token that belongs to another identity than the caller's certificate. Without TLS there is no
 * certificate to compare with, and every token passes. NSM protocol, default policies (the token's subject is
 * the caller's SPIFFE ID).
 *
 * @throws NsmError PERMISSION_DENIED if they differ
 */
export function assertTokenOfPeer({ spiffeId }: Peer, token: string): void {
  if (spiffeId === undefined || token === "") return;
  const subject = subjectOf(token);
  if (subject === spiffeId) return;
  throw new NsmError(
    Code.PermissionDenied,
    `the caller's certificate is for "${spiffeId}", but its token is for "${subject ?? "none"}"`,
  );
}
