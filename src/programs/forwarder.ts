import { Option } from "commander";
import { serveEndpoint } from "../chains/endpoint/index.js";
import { forwarder, kernelMechanisms } from "../chains/forwarder/index.js";
import { cachedRegistry } from "../chains/registry/index.js";
import { atEnd } from "../core/until.js";
import { parseAddress } from "../net/index.js";
import {
  commonOptions,
  connectToOption,
  controlPlaneOnlyOption,
  labelsOption,
  netnsOption,
  type CommonConfig,
} from "./config/options.js";
import { ownSocket, ownSocketPattern } from "./runtime/own-socket.js";
import { badConfiguration, checked } from "./config/values.js";
import type { Program } from "./runtime/program.js";
import {
  assertCapabilities,
  assertWritable,
  isOwnNamespace,
  lockedFor,
  openNetns,
} from "./runtime/checks.js";
import { transport } from "./runtime/serve.js";
import { Tokens } from "./runtime/tokens.js";

interface ForwarderConfig extends CommonConfig {
  readonly connectTo: string;
  readonly labels: Record<string, string>;
  readonly tunnelIp?: string;
  readonly netns?: string;
  readonly stateDir?: string;
  readonly controlPlaneOnly?: boolean;
}

/** The service under which forwarders register. */
const FORWARDER_SERVICE = "forwarder";

/** `nsmctl run forwarder`: creates the cross connects of a node. */
export const forwarderProgram: Program<ForwarderConfig> = {
  name: "forwarder",
  summary: "creates the cross connects of a node",
  options: () => [
    ...commonOptions({ name: "forwarder", listenOn: ownSocketPattern("forwarder") }),
    connectToOption(),
    labelsOption({ p2p: "true" }),
    new Option(
      "--tunnel-ip <address>",
      "source address of tunnels to other nodes (no mechanism uses tunnels yet)",
    )
      .env("NSM_TUNNEL_IP")
      .argParser((text) => (checked(parseAddress)(text), text)),
    netnsOption(),
    new Option("--state-dir <dir>", "directory that keeps the forwarder's vWires across a restart").env(
      "NSM_STATE_DIR",
    ),
    controlPlaneOnlyOption(),
  ],
  async start(app, config) {
    const remotes = app.resolve(Tokens.remotes);
    const clock = app.resolve(Tokens.clock);
    const logger = app.resolve(Tokens.logger);
    const until = app.resolve(Tokens.until);
    const { networkServices, endpoints } = cachedRegistry({ ...remotes.to(config.connectTo), until });
    const { stateDir } = config;
    if (!config.controlPlaneOnly) checkAbility(config);
    if (stateDir !== undefined && !config.controlPlaneOnly) atEnd(until, lockedFor("--state-dir", stateDir));
    const kernel = config.controlPlaneOnly
      ? undefined
      : kernelMechanisms({ until, clock, logger, ...(stateDir !== undefined && { stateDir }) });
    const served = await serveEndpoint({
      name: config.name,
      services: [FORWARDER_SERVICE],
      registerServices: false,
      labels: config.labels,
      connectTo: config.connectTo,
      listenOn: config.listenOn ?? [await ownSocket("forwarder")],
      identity: app.resolve(Tokens.identity),
      transport: transport(app),
      signal: until,
      registerWithinMs: Infinity,
      clock,
      logger,
      chain: forwarder({
        name: config.name,
        tokens: app.resolve(Tokens.identity).tokens,
        networkServices,
        endpoints,
        remotes,
        until,
        mechanisms: kernel,
        elements: { beforeDiscovery: app.resolve(Tokens.extraElements) },
        trace: app.resolve(Tokens.trace),
      }),
    });
    return {
      listenOn: served.listenOn,
      debugState: () => served.debugState(),
      async stop() {
        await served.close();
        // With a state directory, the restarted forwarder recovers the vWires. Without one, they must be
        // removed now.
        if (stateDir === undefined) await kernel?.removeVWires();
      },
    };
  },
};

/** Checks the forwarder's later needs first, so that it reports ready only when it can create connections. */
function checkAbility({ netns, stateDir }: ForwarderConfig): void {
  const namespace = openNetns(netns);
  namespace.close();
  if (!isOwnNamespace(namespace)) {
    throw badConfiguration(
      `--netns "${netns}" has no effect on a forwarder, which works from its own network namespace: remove the flag, or start the forwarder in that namespace`,
    );
  }
  assertCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "to make interfaces in other network namespaces");
  if (stateDir !== undefined) assertWritable("--state-dir", stateDir);
}
