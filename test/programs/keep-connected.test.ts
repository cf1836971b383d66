import { afterEach, beforeEach, expect, test } from "vitest";
import { Context, silent, type Logger } from "../../src/core/index.js";
import { client } from "../../src/chains/client/index.js";
import { requestUrls } from "../../src/programs/config/request-url.js";
import { EventReporter } from "../../src/programs/nsc/events.js";
import { keepConnected } from "../../src/programs/nsc/keep-connected.js";
import { mesh, type Mesh, type MeshEndpoint } from "../../src/testing/index.js";

let net: Mesh;
let nse: MeshEndpoint;
beforeEach(async () => {
  net = await mesh({ transport: "memory" });
  nse = await net.endpoint({ name: "nse-1", service: "firewall" });
});
afterEach(() => net.stop());

/** A client as `nsc` has it, in the mesh. */
function nsc(heals: boolean) {
  const { clock, network } = net.virtual!;
  const events: string[] = [];
  const warnings: string[] = [];
  const logger: Logger = { ...silent, warn: (_fields, message) => void warnings.push(message) };
  const reporter = new EventReporter((line) => events.push((JSON.parse(line) as { event: string }).event));
  const end = new AbortController();
  const { networkService, debugState } = client({
    name: "nsc",
    url: net.nsmgr.url,
    remotes: network.remotes({ name: "nsc" }),
    until: end.signal,
    elements: [reporter.element()],
    heal: heals && { onHealing: (connection, _loss, cause) => reporter.lost(connection, cause) },
  });
  const [requested] = requestUrls(["kernel://firewall/nsm-1"], undefined);
  const kept = keepConnected(Context.background({ signal: end.signal, clock }), {
    networkService,
    logger,
    reporter,
    id: "nsc-0",
    requested: requested!,
    tryTimeoutMs: 15_000,
  });
  return { kept, events, warnings, clock, debugState, end };
}

test("a connection whose only endpoint was killed is closed at once, with a warning", async () => {
  const { kept, events, warnings, clock, debugState, end } = nsc(true);
  await kept.established;
  await nse.kill();
  await clock.advance(1_000);
  expect(events).toContain("healing");
  const closing = kept.close();
  await clock.advance(0);
  await closing;
  expect(events.at(-1)).toBe("closed");
  expect(warnings).toEqual(["closed without the endpoint, which had been lost"]);
  expect(debugState()).toEqual({});
  for (const hop of [net.nsmgr, net.forwarder]) expect(hop.debugState()).not.toHaveProperty("begin/server");
  end.abort();
});

test("a Close goes on being tried where nobody has reported that the endpoint is lost", async () => {
  const { kept, events, clock, end } = nsc(false);
  await kept.established;
  await nse.kill();
  const closing = kept.close();
  await clock.advance(4_000);
  expect(events).toEqual(["established"]);
  await clock.advance(1_000);
  await closing;
  expect(events).toEqual(["established", "failed"]);
  end.abort();
});
