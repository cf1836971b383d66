import { describe, expect, test } from "vitest";
import { chain, Code, type NetworkServiceElement } from "nsm-sdk/core";
import { connectionState } from "nsm-sdk/elements/connection-state";
import { beginClient, beginServer } from "nsm-sdk/elements/begin";
import { clientUrl } from "nsm-sdk/elements/client-url";
import { compensate } from "nsm-sdk/elements/compensate";
import { connectClient, connectServer } from "nsm-sdk/elements/connect";
import { dial } from "nsm-sdk/elements/dial";
import { discover } from "nsm-sdk/elements/discover";
import { discoverForwarder } from "nsm-sdk/elements/discover-forwarder";
import { heal } from "nsm-sdk/elements/heal";
import { mechanismTranslation } from "nsm-sdk/elements/mechanism-translation";
import { offerMechanism } from "nsm-sdk/elements/mechanisms/offer";
import { mechanismsClient, mechanismsServer } from "nsm-sdk/elements/mechanisms";
import { monitor } from "nsm-sdk/elements/monitor";
import { refresh } from "nsm-sdk/elements/refresh";
import { roundRobin } from "nsm-sdk/elements/round-robin";
import { timeout } from "nsm-sdk/elements/timeout";
import { trimPathClient, trimPathServer } from "nsm-sdk/elements/trim-path";
import { updatePath } from "nsm-sdk/elements/update-path";
import { updateToken } from "nsm-sdk/elements/update-token";
import { insecureTokens } from "nsm-sdk/identity";
import { monitorHub } from "nsm-sdk/elements/monitor";
import type { EndpointRegistry, Remotes, NetworkServiceRegistry } from "nsm-sdk/core";

const until = new AbortController().signal;
const registries = {
  networkServices: {} as NetworkServiceRegistry,
  endpoints: {} as EndpointRegistry,
};
const remotes = {} as Remotes;

/** The elements of the two sides, by the names that the rules use. */
const elements = {
  updatePath: updatePath({ name: "hop" }),
  beginServer: beginServer(),
  beginClient: beginClient(),
  state: connectionState(),
  updateToken: updateToken({ tokens: insecureTokens() }),
  timeout: timeout({ until }),
  monitor: monitor({ until }).element,
  trimPathServer: trimPathServer(),
  trimPathClient: trimPathClient(),
  refresh: refresh({ until }),
  heal: heal({ hub: monitorHub({ scope: "connection", until }), until }),
  clientUrl: clientUrl("tcp://10.0.0.1:5001"),
  discover: discover(registries),
  discoverForwarder: discoverForwarder({ ...registries, url: "tcp://10.0.0.1:5001" }),
  roundRobin: roundRobin(),
  dial: dial({ remotes }),
  compensate: compensate(),
  mechanismTranslation: mechanismTranslation(),
  mechanismsClient: mechanismsClient({ KERNEL: [] }),
  mechanismsServer: mechanismsServer({ KERNEL: [] }),
  offer: offerMechanism({ cls: "LOCAL", type: "KERNEL" }),
  connectClient: connectClient(),
  connectServer: connectServer(chain([])),
} satisfies Record<string, NetworkServiceElement>;

type Name = keyof typeof elements;

const client: readonly Name[] = [
  ...["updatePath", "beginClient", "state", "refresh", "clientUrl", "heal", "dial", "compensate"],
  ...["mechanismTranslation", "mechanismsClient", "offer", "trimPathClient", "connectClient"],
] as Name[];
const server: readonly Name[] = [
  ...["updatePath", "beginServer", "updateToken", "state", "timeout", "monitor", "trimPathServer"],
  ...["discover", "roundRobin", "mechanismsServer", "connectServer"],
] as Name[];

const build = (names: readonly Name[]): unknown => chain(names.map((name) => elements[name]));

/** The chain with one element moved to directly behind another. */
function moved(names: readonly Name[], name: Name, behind: Name): readonly Name[] {
  const others = names.filter((other) => other !== name);
  const at = others.indexOf(behind) + 1;
  return [...others.slice(0, at), name, ...others.slice(at)];
}

describe("the order of a chain's elements", () => {
  test("is accepted as the protocol has it", () => {
    build(client);
    build(server);
    build(
      server
        .map((name) => (name === "discover" ? "discoverForwarder" : name))
        .filter((n) => n !== "roundRobin"),
    );
  });

  // NSM protocol, order requirements: the rule, the chain, and an element put behind one that it must precede.
  test.each<[rule: string, chain: readonly Name[], name: Name, behind: Name]>([
    ["update-path before begin", server, "updatePath", "beginServer"],
    ["update-path before begin", client, "updatePath", "beginClient"],
    ["update-path before the slots", server, "updatePath", "state"],
    ["update-path before update-token", server, "updatePath", "updateToken"],
    ["begin before update-token", server, "beginServer", "updateToken"],
    ["begin before the slots", server, "beginServer", "state"],
    ["begin before the slots", client, "beginClient", "state"],
    ["update-token before timeout", server, "updateToken", "timeout"],
    ["the slots before timeout", server, "state", "timeout"],
    ["the slots before monitor", server, "state", "monitor"],
    ["the slots before trim-path", server, "state", "trimPathServer"],
    ["the slots before refresh", client, "state", "refresh"],
    ["timeout outside of what may fail", server, "timeout", "discover"],
    ["timeout outside of what may fail", server, "timeout", "connectServer"],
    ["monitor outside of what may fail", server, "monitor", "roundRobin"],
    ["monitor outside of what may fail", server, "monitor", "mechanismsServer"],
    ["monitor outside trim-path", server, "monitor", "trimPathServer"],
    ["trim-path outside connect", server, "trimPathServer", "connectServer"],
    ["refresh outside dial", client, "refresh", "dial"],
    ["heal outside dial", client, "heal", "dial"],
    ["client-url before dial", client, "clientUrl", "dial"],
    ["discover before round-robin", server, "discover", "roundRobin"],
    ["discover before connect", server, "discover", "connectServer"],
    ["round-robin before connect", server, "roundRobin", "connectServer"],
    ["dial before trim-path", client, "dial", "trimPathClient"],
    ["dial before compensate", client, "dial", "compensate"],
    ["dial before connect", client, "dial", "connectClient"],
    ["trim-path before connect", client, "trimPathClient", "connectClient"],
    ["mechanism-translation before the mechanisms", client, "mechanismTranslation", "mechanismsClient"],
    ["mechanism-translation before offers", client, "mechanismTranslation", "offer"],
  ])("holds %s (%#)", (_rule, names, name, behind) => {
    const [first, second] = [elements[name].name, elements[behind].name];
    let message = "";
    try {
      build(moved(names, name, behind));
    } catch (error) {
      expect(error).toMatchObject({ code: Code.FailedPrecondition });
      message = (error as Error).message;
    }
    // Both elements are named, and what to do.
    expect(message).toMatch(/: put \S+ before \S+$/);
    expect(message.includes(first) || message.includes(second)).toBe(true);
  });
});
