import type { Match, Metadata, NetworkServiceEndpoint, NetworkServiceEntry } from "../api/index.js";

/**
 * Whether a stored network service matches a query: each of name, payload and matches is empty in the query or
 * equal. A query without content matches everything.
 */
export function matchesServiceQuery(
  query: NetworkServiceEntry | undefined,
  stored: NetworkServiceEntry,
): boolean {
  if (!query) return true;
  return (
    (query.name === "" || query.name === stored.name) &&
    (query.payload === "" || query.payload === stored.payload) &&
    (query.matches.length === 0 || sameMatches(query.matches, stored.matches))
  );
}

/**
 * Whether a stored endpoint matches a query. Empty fields of the query match any value. Otherwise the name must
 * be equal, service names and labels must be contained, and the expiration must be in the same second (an
 * endpoint without an expiration never matches). The endpoint's URL must contain the query's URL as text. A
 * query without content matches everything.
 */
export function matchesEndpointQuery(
  query: NetworkServiceEndpoint | undefined,
  stored: NetworkServiceEndpoint,
): boolean {
  if (!query) return true;
  return (
    (query.name === "" || query.name === stored.name) &&
    (!query.expirationTime || query.expirationTime.seconds === stored.expirationTime?.seconds) &&
    query.networkServiceNames.every((name) => stored.networkServiceNames.includes(name)) &&
    stored.url.includes(query.url) &&
    Object.entries(query.networkServiceLabels).every(([service, { labels }]) => {
      if (!Object.hasOwn(stored.networkServiceLabels, service)) return false;
      const offered = stored.networkServiceLabels[service]?.labels ?? {};
      return Object.entries(labels).every(([key, value]) => offered[key] === value);
    })
  );
}

function sameMatches(a: readonly Match[], b: readonly Match[]): boolean {
  return sameList(
    a,
    b,
    (x, y) =>
      x.fallthrough === y.fallthrough &&
      sameLabels(x.sourceSelector, y.sourceSelector) &&
      sameMetadata(x.metadata, y.metadata) &&
      sameList(
        x.routes,
        y.routes,
        (p, q) => p.weight === q.weight && sameLabels(p.destinationSelector, q.destinationSelector),
      ),
  );
}

function sameMetadata(a: Metadata | undefined, b: Metadata | undefined): boolean {
  return a && b ? sameLabels(a.labels, b.labels) : a === b;
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  return a.length === b.length && a.every((x, i) => same(x, b[i]!));
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
}
