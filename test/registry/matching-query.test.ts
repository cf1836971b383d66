import { describe, expect, test } from "vitest";
import { NetworkServiceEndpoint, NetworkServiceEntry, toTimestamp } from "../../src/api/index.js";
import { matchesEndpointQuery, matchesServiceQuery } from "../../src/registry/index.js";

const match = { sourceSelector: { app: "a" }, routes: [], fallthrough: false, metadata: undefined };
const route = { destinationSelector: { app: "b" }, weight: 1 };
const service = (patch: object): NetworkServiceEntry => NetworkServiceEntry.create(patch);
const endpoint = (patch: object): NetworkServiceEndpoint => NetworkServiceEndpoint.create(patch);

describe("matchesServiceQuery", () => {
  const stored = service({ name: "icmp", payload: "IP", matches: [{ ...match, routes: [route] }] });

  test.each<[string, object | undefined, boolean]>([
    ["no content", undefined, true],
    ["nothing", {}, true],
    ["the name", { name: "icmp" }, true],
    ["a part of the name", { name: "icm" }, false],
    ["the payload", { payload: "IP" }, true],
    ["another payload", { payload: "ETHERNET" }, false],
    ["the matches", { matches: [{ ...match, routes: [route] }] }, true],
    ["matches without the routes", { matches: [match] }, false],
    ["another source", { matches: [{ ...match, sourceSelector: { app: "c" }, routes: [route] }] }, false],
    [
      "one source more",
      { matches: [{ ...match, sourceSelector: { app: "a", b: "" }, routes: [route] }] },
      false,
    ],
    ["another weight", { matches: [{ ...match, routes: [{ ...route, weight: 2 }] }] }, false],
    ["fallthrough", { matches: [{ ...match, fallthrough: true, routes: [route] }] }, false],
    ["metadata", { matches: [{ ...match, metadata: { labels: {} }, routes: [route] }] }, false],
    ["the matches twice", { matches: [{ ...match, routes: [route] }, match] }, false],
    ["other path ids", { name: "icmp", pathIds: ["spiffe://example.org/x"] }, true],
  ])("%s", (_what, query, expected) => {
    expect(matchesServiceQuery(query && service(query), stored)).toBe(expected);
  });
});

describe("matchesEndpointQuery", () => {
  const time = Date.UTC(2030, 0, 1);
  const stored = endpoint({
    name: "nse-1",
    networkServiceNames: ["icmp", "dns"],
    networkServiceLabels: { icmp: { labels: { app: "a", zone: "" } } },
    url: "tcp://10.0.0.1:50010",
    expirationTime: toTimestamp(time + 100),
  });

  test.each<[string, object | undefined, boolean]>([
    ["no content", undefined, true],
    ["nothing", {}, true],
    ["the name", { name: "nse-1" }, true],
    ["a part of the name", { name: "nse" }, false],
    ["one of the services", { networkServiceNames: ["dns"] }, true],
    ["the services in another order", { networkServiceNames: ["dns", "icmp"] }, true],
    ["one service more", { networkServiceNames: ["dns", "http"] }, false],
    ["a labelled service", { networkServiceLabels: { icmp: { labels: {} } } }, true],
    ["a service without labels", { networkServiceLabels: { dns: { labels: {} } } }, false],
    ["a label", { networkServiceLabels: { icmp: { labels: { app: "a" } } } }, true],
    ["another label", { networkServiceLabels: { icmp: { labels: { app: "b" } } } }, false],
    ["an empty label", { networkServiceLabels: { icmp: { labels: { zone: "" } } } }, true],
    ["an empty label that is not there", { networkServiceLabels: { icmp: { labels: { rack: "" } } } }, false],
    ["a name every object has", { networkServiceLabels: { constructor: { labels: {} } } }, false],
    ["the URL", { url: "tcp://10.0.0.1:50010" }, true],
    ["a part of the URL", { url: "10.0.0.1:5001" }, true],
    ["another URL", { url: "tcp://10.0.0.2" }, false],
    ["the same second", { expirationTime: toTimestamp(time + 900) }, true],
    ["the next second", { expirationTime: toTimestamp(time + 1_100) }, false],
    ["another first registration", { initialRegistrationTime: toTimestamp(1) }, true],
  ])("%s", (_what, query, expected) => {
    expect(matchesEndpointQuery(query && endpoint(query), stored)).toBe(expected);
  });

  test("never finds an endpoint without expiration by an expiration", () => {
    expect(matchesEndpointQuery(endpoint({ expirationTime: toTimestamp(0) }), endpoint({}))).toBe(false);
  });
});
