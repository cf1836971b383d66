import { Option } from "commander";
import { MechanismType, Payload } from "../api/index.js";
import { serveEndpoint } from "../chains/endpoint/index.js";
import type { Elements, NetworkService } from "../core/index.js";
import { groupIpam } from "../elements/ipam/group/index.js";
import { mechanismsServer } from "../elements/mechanisms/index.js";
import { kernelServer } from "../elements/mechanisms/kernel/index.js";
import { namespaceUrl } from "../elements/mechanisms/kernel/namespace-url.js";
import {
  commonOptions,
  connectToOption,
  controlPlaneOnlyOption,
  labelsOption,
  netnsOption,
  type CommonConfig,
} from "./config/options.js";
import { badConfiguration, bool, oneOf, repeatable, repeatableGroups } from "./config/values.js";
import { ownSocket, ownSocketPattern } from "./runtime/own-socket.js";
import type { Program, Running } from "./runtime/program.js";
import { openNetns } from "./runtime/checks.js";
import { transport } from "./runtime/serve.js";
import { Tokens } from "./runtime/tokens.js";
import type { DependencyContainer } from "tsyringe";

/** Configuration of an endpoint program. */
export interface NseConfig extends CommonConfig {
  readonly connectTo: string;
  readonly service?: readonly string[];
  readonly labels: Record<string, string>;
  readonly cidr?: readonly string[][];
  readonly netns?: string;
  readonly payload: string;
  readonly registerService: boolean;
  readonly controlPlaneOnly?: boolean;
}

/** The options of every endpoint program. */
export function nseOptions(name: string): Option[] {
  return [
    ...commonOptions({ name, listenOn: ownSocketPattern(name) }),
    connectToOption(),
    new Option("--service <name>", "network service to provide; repeatable")
      .env("NSM_SERVICE_NAMES")
      .argParser(repeatable),
    labelsOption(),
    new Option(
      "--cidr <prefix>",
      "prefixes to allocate from; each is a group, [a,b] is one group of two (default: 169.254.0.0/16)",
    )
      .env("NSM_CIDR_PREFIX")
      .argParser(repeatableGroups),
    netnsOption(),
    new Option("--payload <kind>", "IP or ETHERNET")
      .env("NSM_PAYLOAD")
      .argParser(oneOf(Payload.Ethernet, Payload.Ip))
      .default(Payload.Ethernet),
    new Option("--register-service <bool>", "also register the network services")
      .env("NSM_REGISTER_SERVICE")
      .argParser(bool)
      .default(true),
    controlPlaneOnlyOption(),
  ];
}

/** Builds an endpoint from IPAM, the kernel mechanism and the given elements. */
export async function startEndpoint(
  app: DependencyContainer,
  config: NseConfig,
  elements: Elements<NetworkService>,
): Promise<Running> {
  if (!config.service?.length) {
    throw badConfiguration("--service was not given: name at least one network service to provide");
  }
  // The forwarder opens it for the first client. Opening it here reports a wrong --netns immediately.
  if (config.netns !== undefined && !config.controlPlaneOnly) openNetns(config.netns).close();
  const served = await serveEndpoint({
    name: config.name,
    services: config.service,
    labels: config.labels,
    payload: config.payload,
    registerServices: config.registerService,
    connectTo: config.connectTo,
    listenOn: config.listenOn ?? [await ownSocket(config.name)],
    identity: app.resolve(Tokens.identity),
    transport: transport(app),
    signal: app.resolve(Tokens.until),
    registerWithinMs: Infinity,
    trace: app.resolve(Tokens.trace),
    clock: app.resolve(Tokens.clock),
    logger: app.resolve(Tokens.logger),
    elements: [
      app.resolve(Tokens.extraElements),
      groupIpam(config.cidr ?? [["169.254.0.0/16"]]),
      elements,
      mechanismsServer({ [MechanismType.Kernel]: [kernelServer({ inodeUrl: namespaceUrl(config.netns) })] }),
    ],
  });
  return { listenOn: served.listenOn, debugState: () => served.debugState(), stop: () => served.close() };
}

/** `nsmctl run nse`: an endpoint that answers pings. */
export const nseProgram: Program<NseConfig> = {
  name: "nse",
  summary: "an endpoint that answers pings",
  options: () => nseOptions("nse"),
  start: (app, config) => startEndpoint(app, config, []),
};
