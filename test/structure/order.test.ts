import { describe, expect, test } from "vitest";
import { chain, Code, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginClient, beginServer } from "../../src/elements/begin/index.js";
import { clientUrl } from "../../src/elements/client-url/index.js";
import { compensate } from "../../src/elements/compensate/index.js";
import { connectClient, connectServer } from "../../src/elements/connect/index.js";
import { dial } from "../../src/elements/dial/index.js";
import { discover } from "../../src/elements/discover/index.js";
import { discoverForwarder } from "../../src/elements/discover-forwarder/index.js";
import { heal } from "../../src/elements/heal/index.js";
import { mechanismTranslation } from "../../src/elements/mechanism-translation/index.js";
import { offerMechanism } from "../../src/elements/mechanisms/offer/index.js";
import { mechanismsClient, mechanismsServer } from "../../src/elements/mechanisms/index.js";
import { monitor } from "../../src/elements/monitor/index.js";
import { refresh } from "../../src/elements/refresh/index.js";
import { roundRobin } from "../../src/elements/round-robin/index.js";
import { timeout } from "../../src/elements/timeout/index.js";
import { trimPathClient, trimPathServer } from "../../src/elements/trim-path/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { updateToken } from "../../src/elements/update-token/index.js";
import { insecureTokens } from "../../src/identity/index.js";
import { monitorHub } from "../../src/elements/monitor/index.js";
import type { EndpointRegistry, Remotes, NetworkServiceRegistry } from "../../src/core/index.js";

const until = new AbortController().signal;
const registries = {
  networkServices: {} as NetworkServiceRegistry,
  endpoints: {} as EndpointRegistry,
};
const remotes = {} as Remotes;

/** The elements of both sides, by the names in the rules. */
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

/** The chain with one element moved directly after another. */
function moved(names: readonly Name[], name: Name, behind: Name): readonly Name[] {
  const others = names.filter((other) => other !== name);
  const at = others.indexOf(behind) + 1;
  return [...others.slice(0, at), name, ...others.slice(at)];
}

describe("the order of a chain's elements", () => {
  test("is accepted as the protocol has it", () => {
    const manager = server
      .map((name) => (name === "discover" ? "discoverForwarder" : name))
      .filter((n) => n !== "roundRobin");
    for (const chain of [client, server, manager]) expect(() => build(chain)).not.toThrow();
  });

  // NSM protocol, order requirements: the rule, the chain, and an element moved after one that it must precede.
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
  ])("satisfies %s (%#)", (_rule, names, name, behind) => {
    const [first, second] = [elements[name].name, elements[behind].name];
    let message = "";
    try {
      build(moved(names, name, behind));
    } catch (error) {
      expect(error).toMatchObject({ code: Code.FailedPrecondition });
      message = (error as Error).message;
    }
    // The message names both elements and the remedy.
    expect(message).toMatch(/: put \S+ before \S+$/);
    expect(message.includes(first) || message.includes(second)).toBe(true);
  });
});
