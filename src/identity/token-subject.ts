import { Code, NsmError, type Peer } from "../core/index.js";
import { parseToken } from "./token.js";

/** Who made a token, by its own claim; undefined for text that is no token, which only policies may refuse. */
export function subjectOf(token: string): string | undefined {
  try {
    return parseToken(token).sub;
  } catch {
    return undefined;
  }
}

/**
 * Rejects a token that a caller presents as its own although its certificate belongs to another identity.
 * Without TLS there is no certificate to compare with, and every token passes. NSM protocol, default policies
 * (the token's subject is the caller's SPIFFE id).
 *
 * @throws NsmError PERMISSION_DENIED
 */
export function assertTokenOfPeer({ spiffeId }: Peer, token: string): void {
  if (spiffeId === undefined || token === "") return;
  const subject = subjectOf(token);
  if (subject === spiffeId) return;
  throw new NsmError(
    Code.PermissionDenied,
    `the caller's certificate is for "${spiffeId}", but its token is for "${subject ?? "nobody"}"`,
  );
}
