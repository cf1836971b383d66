import { toTimestamp } from "../api/index.js";
import type { Token } from "../core/index.js";

/** A token, and how long it may be reused. Times are milliseconds since the epoch. */
export interface IssuedToken {
  readonly token: Token;
  readonly expires: number;
  readonly reuseUntil: number;
}

/**
 * Creates an entry that may be reused while more than 90 % of the lifetime remains. A shorter rest could
 * expire at a later hop. A token that is already expired is never reused.
 */
export function issuedToken(text: string, now: number, expires: number): IssuedToken {
  return {
    token: { token: text, expires: toTimestamp(expires) },
    expires,
    reuseUntil: now + (expires - now) * 0.1,
  };
}

/** Whether the token may be reused. */
export function reusable(issued: IssuedToken | undefined, now: number): issued is IssuedToken {
  return issued !== undefined && now < issued.reuseUntil;
}
