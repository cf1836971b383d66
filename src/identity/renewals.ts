import { defer, filter, map, pairwise, startWith, type Observable } from "rxjs";
import { validAt } from "./verify.js";
import type { X509Context, X509Source } from "./x509-source.js";

/**
 * Emits when open connections must be replaced: the own certificate changed, or a bundle lost an authority that is
 * still valid. A new authority and the removal of an expired one concern only new connections.
 */
export function renewals(source: X509Source): Observable<void> {
  return defer(() => source.changes.pipe(startWith(source.current()))).pipe(
    pairwise(),
    filter(([before, after]) => !sameLeaf(before, after) || lostTrust(before, after, Date.now())),
    map(() => undefined),
  );
}

function sameLeaf({ svid: before }: X509Context, { svid: after }: X509Context): boolean {
  return before === after || before.certificates[0]!.raw.equals(after.certificates[0]!.raw);
}

function lostTrust({ bundles: before }: X509Context, { bundles: after }: X509Context, now: number): boolean {
  return [...before].some(([domain, authorities]) => {
    const kept = after.get(domain) ?? [];
    return authorities.some(
      (one) => validAt(one, now) && !kept.includes(one) && !kept.some(({ raw }) => raw.equals(one.raw)),
    );
  });
}
