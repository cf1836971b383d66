import { describe, expect, test } from "vitest";
import { Match, NetworkServiceEndpoint, NetworkServiceEntry } from "../../src/api/index.js";
import { labelsMatch, matchEndpoints, matchForwarders, type Labels } from "../../src/registry/index.js";

const endpoint = (name: string, labels?: Labels, service = "svc"): NetworkServiceEndpoint =>
  NetworkServiceEndpoint.create({
    name,
    networkServiceNames: [service],
    networkServiceLabels: labels ? { [service]: { labels: { ...labels } } } : {},
  });
const service = (...matches: Parameters<typeof Match.create>[0][]): NetworkServiceEntry =>
  NetworkServiceEntry.create({ name: "svc", matches: matches.map((match) => Match.create(match)) });
const names = (endpoints: readonly NetworkServiceEndpoint[]): string[] => endpoints.map(({ name }) => name);
const to = (destinationSelector: Record<string, string>) => ({ destinationSelector });

describe("labelsMatch", () => {
  test.each<[labels: Labels, selector: Labels, fits: boolean]>([
    [{ a: "1", b: "2" }, { a: "1" }, true],
    [{ a: "1" }, { a: "2" }, false],
    [{ a: "1" }, { a: "1", b: "2" }, false],
    [{ a: "1" }, {}, true],
    [{}, {}, true],
    [{ a: "1" }, { b: "" }, true],
    [{ a: "1" }, { constructor: "" }, true],
    [{ constructor: "x" }, { constructor: "x" }, true],
  ])("%j against the selector %j: %s", (labels, selector, fits) => {
    expect(labelsMatch(labels, selector, {})).toBe(fits);
  });

  test.each<[template: string, label: string, fits: boolean]>([
    ["{{.nodeName}}", "node-1", true],
    ["{{ .nodeName }}", "node-1", true],
    ['{{index . "nodeName"}}', "node-1", true],
    ["{{ index . `pod.name` }}", "pod-1", true],
    ["on-{{.nodeName}}-{{.zone}}", "on-node-1-west", true],
    ["on {{- .nodeName -}} !", "onnode-1!", true],
    ["{{.nodeName}}", "node-2", false],
    ["{{.nodeName}}", "{{.nodeName}}", true],
    ["{{.unknown}}", "", false],
    ["{{.unknown}}", "<no value>", false],
    ['{{index . "unknown"}}', "", true],
    ["{{.constructor}}", "", false],
    ["{{if .nodeName}}x{{end}}", "x", false],
    ["{{if .nodeName}}x{{end}}", "{{if .nodeName}}x{{end}}", true],
    ["{{.nodeName", "{{.nodeName", true],
    ["{{.nodeName.more}}", "node-1", false],
  ])("the template %s against the label %s: %s", (template, label, fits) => {
    const variables = { nodeName: "node-1", zone: "west", "pod.name": "pod-1" };
    expect(labelsMatch({ x: label }, { x: template }, variables)).toBe(fits);
  });

  test.each([
    ["spaces", `{{${" ".repeat(1 << 21)}`],
    ["braces", "{{".repeat(1 << 20)],
    ["trimmed spaces", `{{- .a -}}${" ".repeat(1 << 21)}{{`],
  ])("renders a long template of %s quickly", (_what, template) => {
    expect(labelsMatch({ x: "1" }, { x: template }, { a: "1" })).toBe(false);
  });
});

describe("matchEndpoints", () => {
  const all = [endpoint("a", { app: "firewall" }), endpoint("b", { app: "gateway" }), endpoint("c")];

  test("a service without matches selects all endpoints", () => {
    expect(names(matchEndpoints({}, service(), all))).toEqual(["a", "b", "c"]);
  });

  test("the first match with a matching source selector decides", () => {
    const svc = service(
      { sourceSelector: { app: "firewall" }, routes: [to({ app: "gateway" })] },
      { routes: [to({ app: "firewall" })] },
    );
    expect(names(matchEndpoints({ app: "firewall" }, svc, all))).toEqual(["b"]);
    expect(names(matchEndpoints({}, svc, all))).toEqual(["a"]);
  });

  test("an empty source selector placed first wins over a specific one", () => {
    const svc = service(
      { routes: [to({ app: "firewall" })] },
      { sourceSelector: { app: "firewall" }, routes: [to({ app: "gateway" })] },
    );
    expect(names(matchEndpoints({ app: "firewall" }, svc, all))).toEqual(["a"]);
  });

  test("without a matching match, no endpoint is selected", () => {
    expect(matchEndpoints({}, service({ sourceSelector: { app: "x" }, routes: [to({})] }), all)).toEqual([]);
  });

  test("collects route by route, and includes an endpoint twice that matches two", () => {
    const svc = service({ routes: [to({ app: "gateway" }), to({})] });
    expect(names(matchEndpoints({}, svc, all))).toEqual(["b", "a", "b", "c"]);
  });

  test("falls through to the next match only if it selected no endpoint and has fallthrough set", () => {
    const nobody = { routes: [to({ app: "nobody" })] };
    const rest = { routes: [to({ app: "gateway" })] };
    expect(names(matchEndpoints({}, service({ ...nobody, fallthrough: true }, rest), all))).toEqual(["b"]);
    expect(names(matchEndpoints({}, service(nobody, rest), all))).toEqual([]);
  });

  test("a match with metadata only selects all endpoints", () => {
    const metadata = { labels: { p2mp: "true" } };
    expect(names(matchEndpoints({}, service({ metadata }), all))).toEqual(["a", "b", "c"]);
    expect(names(matchEndpoints({}, service({ metadata, routes: [to({ app: "x" })] }), all))).toEqual([]);
  });

  test("only the labels an endpoint has for this service count", () => {
    expect(
      matchEndpoints({}, service({ routes: [to({ app: "x" })] }), [endpoint("a", { app: "x" }, "other")]),
    ).toEqual([]);
  });

  test("scale from zero: the node's endpoint, else another one with capacity, else the scaler", () => {
    const svc = service(
      { fallthrough: true, routes: [to({ nodeName: "{{.nodeName}}" })] },
      { fallthrough: true, routes: [to({ capability: "any-node" })] },
      { routes: [to({ scaler: "true" })] },
    );
    const local = endpoint("local", { nodeName: "node-1" });
    const able = endpoint("able", { capability: "any-node" });
    const scaler = endpoint("scaler", { scaler: "true" });
    const client = { nodeName: "node-1" };
    expect(names(matchEndpoints(client, svc, [scaler, able, local]))).toEqual(["local"]);
    expect(names(matchEndpoints(client, svc, [scaler, able]))).toEqual(["able"]);
    expect(names(matchEndpoints({ nodeName: "node-2" }, svc, [scaler, local]))).toEqual(["scaler"]);
    expect(matchEndpoints(client, svc, [endpoint("other")])).toEqual([]);
  });
});

describe("matchForwarders", () => {
  const all = [
    endpoint("p2p", { p2p: "true" }, "forwarder"),
    endpoint("p2mp", { p2mp: "true" }, "forwarder"),
    endpoint("special", { p2p: "true", special: "true" }, "forwarder"),
    endpoint("bare", undefined, "forwarder"),
  ];
  const choose = (svc: NetworkServiceEntry, labels: Labels = {}): string[] =>
    names(matchForwarders(labels, svc, all, "forwarder"));

  test("a service without matches selects all forwarders, whatever their labels", () => {
    expect(choose(service())).toEqual(["p2p", "p2mp", "special", "bare"]);
  });

  test("the metadata of the match defines the labels that a forwarder must have", () => {
    expect(choose(service({ metadata: { labels: { p2mp: "true" } } }))).toEqual(["p2mp"]);
  });

  test("without labels in the metadata, or without metadata, it must have p2p", () => {
    expect(choose(service({ metadata: {} }))).toEqual(["p2p", "special"]);
    expect(choose(service({}))).toEqual(["p2p", "special"]);
  });

  test("the source selector selects the match, and fallthrough the next one", () => {
    const svc = service(
      { sourceSelector: { app: "x" }, metadata: { labels: { p2mp: "true" } } },
      { fallthrough: true, metadata: { labels: { nobody: "true" } } },
      { metadata: { labels: { special: "true" } } },
    );
    expect(choose(svc, { app: "x" })).toEqual(["p2mp"]);
    expect(choose(svc)).toEqual(["special"]);
  });
});
