import type { Match, NetworkServiceEndpoint, NetworkServiceEntry } from "../api/index.js";

/** Labels of a client, of an endpoint or of a selector. */
export interface Labels {
  readonly [key: string]: string;
}

/** Labels that a forwarder must have if the service does not specify any. */
const defaultForwarderLabels: Labels = { p2p: "true" };

/**
 * Whether `labels` match `selector`: each value of the selector equals the label, literally or as a template
 * over `variables` (the client's labels). A missing label counts as empty. NSM protocol, matching.
 *
 * @example
 * import { labelsMatch } from "nsm-sdk/registry";
 *
 * labelsMatch({ nodeName: "a" }, { nodeName: "{{.nodeName}}" }, { nodeName: "a" }); // true
 */
export function labelsMatch(labels: Labels, selector: Labels, variables: Labels): boolean {
  const wanted = Object.entries(selector);
  return (
    Object.keys(labels).length >= wanted.length &&
    wanted.every(([key, value]) => {
      const label = own(labels, key) ?? "";
      return label === value || label === render(value, variables);
    })
  );
}

/** The endpoints of one service, for selection. */
export interface EndpointSource {
  all(): Iterable<NetworkServiceEndpoint>;
  /** Returns at least the endpoints that have this value for a label of the service. */
  having(label: string, value: string): Iterable<NetworkServiceEndpoint>;
}

/**
 * Returns the endpoints that the matches of the service select for a client with these labels, in the order of
 * the routes. An endpoint that matches two routes is included twice. Weights are ignored.
 */
export function matchEndpoints(
  labels: Labels,
  service: NetworkServiceEntry,
  endpoints: readonly NetworkServiceEndpoint[],
): readonly NetworkServiceEndpoint[] {
  if (service.matches.length === 0) return endpoints;
  return [...fittingEndpoints(labels, service, { all: () => endpoints, having: () => endpoints })];
}

/** Like {@link matchEndpoints}, but lazy: endpoints are checked only as far as the caller iterates. */
export function* fittingEndpoints(
  labels: Labels,
  service: NetworkServiceEntry,
  source: EndpointSource,
): Iterable<NetworkServiceEndpoint> {
  if (service.matches.length === 0) yield* source.all();
  for (const { sourceSelector, routes, metadata, fallthrough } of service.matches) {
    if (!labelsMatch(labels, sourceSelector, labels)) continue;
    let any = false;
    for (const { destinationSelector } of routes) {
      for (const endpoint of likely(destinationSelector, labels, source)) {
        if (!labelsMatch(labelsFor(endpoint, service.name) ?? {}, destinationSelector, labels)) continue;
        any = true;
        yield endpoint;
      }
    }
    if (any) return;
    if (fallthrough) continue;
    if (metadata && routes.length === 0) yield* source.all();
    return;
  }
}

/** Returns a small set of endpoints that includes all that the selector can match. */
function* likely(
  selector: Labels,
  variables: Labels,
  source: EndpointSource,
): Iterable<NetworkServiceEndpoint> {
  for (const [label, text] of Object.entries(selector)) {
    const values = new Set([text, render(text, variables) ?? text]);
    // A missing label counts as empty.
    if (values.has("")) continue;
    const endpoints = [...values].map((value) => source.having(label, value));
    // A source may return more endpoints than required, so both results may overlap.
    yield* endpoints.length === 1 ? endpoints[0]! : new Set(endpoints.flatMap((some) => [...some]));
    return;
  }
  yield* source.all();
}

/**
 * Returns the forwarders that can carry this service for a client with these labels: those whose labels for the
 * forwarder service match the labels in the match's metadata. Default labels: `p2p=true`.
 */
export function matchForwarders(
  labels: Labels,
  service: NetworkServiceEntry,
  forwarders: readonly NetworkServiceEndpoint[],
  forwarderService: string,
): readonly NetworkServiceEndpoint[] {
  return walk(labels, service, forwarders, ({ metadata }) => {
    const asked = metadata?.labels ?? {};
    const wanted = Object.keys(asked).length > 0 ? asked : defaultForwarderLabels;
    return forwarders.filter((forwarder) => {
      const offered = labelsFor(forwarder, forwarderService);
      return offered !== undefined && labelsMatch(offered, wanted, labels);
    });
  });
}

/** The first match for the client decides, unless it selects nothing and has `fallthrough` set. */
function walk(
  labels: Labels,
  { matches }: NetworkServiceEntry,
  all: readonly NetworkServiceEndpoint[],
  choose: (match: Match) => readonly NetworkServiceEndpoint[],
): readonly NetworkServiceEndpoint[] {
  if (matches.length === 0) return all;
  for (const match of matches) {
    if (!labelsMatch(labels, match.sourceSelector, labels)) continue;
    const chosen = choose(match);
    if (chosen.length > 0 || !match.fallthrough) return chosen;
  }
  return [];
}

/** The labels of an endpoint for one service, or undefined if it has none. */
function labelsFor(endpoint: NetworkServiceEndpoint, service: string): Labels | undefined {
  return own(endpoint.networkServiceLabels, service)?.labels;
}

// `{{.name}}` and `{{index . "name"}}`, with or without the dashes that trim white space. The expression does
// not match the white space before a template, because templates come from peers and a long one must not be
// slow to match.
const action =
  /\{\{(- )?\s*(?:\.([\p{L}_][\p{L}\p{Nd}_]*)|index\s+\.\s+(?:"([^"\\]*)"|`([^`]*)`))\s*( -\}\}\s*|\}\})/gu;

/**
 * Renders the subset of Go templates that selectors use. Returns undefined if a field is missing, so that it
 * equals no label. `index` renders a missing value as empty. Other texts stay unchanged.
 */
function render(template: string, variables: Labels): string | undefined {
  if (!template.includes("{{")) return template;
  let missing = false;
  let text = "";
  let rest = "";
  let end = 0;
  for (const found of template.matchAll(action)) {
    const [all, dash, field, quoted, raw] = found as (string | undefined)[];
    const before = template.slice(end, found.index);
    const kept = dash ? before.trimEnd() : before;
    const value = own(variables, field ?? quoted ?? raw!);
    missing ||= field !== undefined && value === undefined;
    text += kept + (value ?? "");
    rest += kept;
    end = found.index + all!.length;
  }
  const last = template.slice(end);
  if (`${rest}${last}`.includes("{{")) return template;
  return missing ? undefined : text + last;
}

/** The own value of a map, because labels may be called `constructor`. */
function own<T>(map: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
