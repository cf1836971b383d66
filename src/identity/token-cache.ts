import { toTimestamp } from "../api/index.js";
import type { Token } from "../core/index.js";

/** A token, and until when it may be shown again. Times are milliseconds since the epoch. */
export interface IssuedToken {
  readonly token: Token;
  readonly expires: number;
  readonly reuseUntil: number;
}

/**
 * A token that may be shown again while more than 90 % of its life is left: a hop further on must not be the
 * one to find it expired. One that is born expired is never shown again.
 */
export function issuedToken(text: string, now: number, expires: number): IssuedToken {
  return {
    token: { token: text, expires: toTimestamp(expires) },
    expires,
    reuseUntil: now + (expires - now) * 0.1,
  };
}

/** Whether the token may be shown once more. */
export function reusable(issued: IssuedToken | undefined, now: number): issued is IssuedToken {
  return issued !== undefined && now < issued.reuseUntil;
}
