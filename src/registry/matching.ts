import type { Match, NetworkServiceEndpoint, NetworkServiceEntry } from "../api/index.js";

/** Labels of a client, of an endpoint or of a selector. */
export interface Labels {
  readonly [key: string]: string;
}

/** What a forwarder must be able to do when the service does not say otherwise. */
const defaultForwarderLabels: Labels = { p2p: "true" };

/**
 * Whether `labels` fit `selector`: each of its values equals the label, as it is or as a template over
 * `variables` (the client's labels). A label that is missing reads as empty. NSM protocol, matching.
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

/** Endpoints of one service, to choose from. */
export interface EndpointSource {
  all(): Iterable<NetworkServiceEndpoint>;
  /** At least those that have this value for a label of the service. */
  having(label: string, value: string): Iterable<NetworkServiceEndpoint>;
}

/**
 * The endpoints that the service's matches choose for a client with these labels, in the order of the routes;
 * one that fits two routes is there twice. Weights are not looked at.
 */
export function matchEndpoints(
  labels: Labels,
  service: NetworkServiceEntry,
  endpoints: readonly NetworkServiceEndpoint[],
): readonly NetworkServiceEndpoint[] {
  if (service.matches.length === 0) return endpoints;
  return [...fittingEndpoints(labels, service, { all: () => endpoints, having: () => endpoints })];
}

/** As {@link matchEndpoints}, one after the other: whoever takes only some leaves the others unexamined. */
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

/** Few endpoints among which all that the selector can mean are. */
function* likely(
  selector: Labels,
  variables: Labels,
  source: EndpointSource,
): Iterable<NetworkServiceEndpoint> {
  for (const [label, text] of Object.entries(selector)) {
    const values = new Set([text, render(text, variables) ?? text]);
    // A label that is missing reads as empty.
    if (values.has("")) continue;
    const endpoints = [...values].map((value) => source.having(label, value));
    // A source may show more than it must: the same for both.
    yield* endpoints.length === 1 ? endpoints[0]! : new Set(endpoints.flatMap((some) => [...some]));
    return;
  }
  yield* source.all();
}

/**
 * The forwarders that may carry this service for a client with these labels: those whose labels for the
 * forwarder service hold what the match's metadata asks for, `p2p=true` when it asks for nothing.
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

/** The first match that fits the client decides, unless it says to fall through and chose nothing. */
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

/** What an endpoint says about itself as a provider of one service; undefined when it says nothing. */
function labelsFor(endpoint: NetworkServiceEndpoint, service: string): Labels | undefined {
  return own(endpoint.networkServiceLabels, service)?.labels;
}

// `{{.name}}` and `{{index . "name"}}`, with or without the dashes that eat white space around them. The space in front
// is not part of it: a template comes from a peer, and a long one must not take long.
const action =
  /\{\{(- )?\s*(?:\.([\p{L}_][\p{L}\p{Nd}_]*)|index\s+\.\s+(?:"([^"\\]*)"|`([^`]*)`))\s*( -\}\}\s*|\}\})/gu;

/**
 * The subset of Go templates that selectors are written in. Undefined when a field is missing, so that it equals
 * no label, while `index` reads a missing one as empty; what is no such template stays as it is.
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

/** A map's value; labels may be called `constructor`. */
function own<T>(map: { readonly [key: string]: T }, key: string): T | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
