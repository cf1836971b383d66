import { Option } from "commander";
import { nsmgr } from "../chains/nsmgr/index.js";
import { commonOptions, type CommonConfig } from "./config/options.js";
import { isSameSocket, publicUrl } from "../wire/index.js";
import { badConfiguration, dialUrl } from "./config/values.js";
import type { Program } from "./runtime/program.js";
import { upstreamAnswers } from "./runtime/upstream.js";
import { serve } from "./runtime/serve.js";
import { Tokens } from "./runtime/tokens.js";

interface NsmgrConfig extends CommonConfig {
  readonly registry: string;
  readonly forwarderService: string;
}

/** Value of `--registry` that means no registry. */
const NO_REGISTRY = "none";

const DEFAULT_LISTEN_ON = "unix:///var/lib/networkservicemesh/nsm.io.sock";

/** `nsmctl run nsmgr`: the manager of a node. */
export const nsmgrProgram: Program<NsmgrConfig> = {
  name: "nsmgr",
  summary: "the network service manager of a node",
  options: () => [
    ...commonOptions({ name: "nsmgr", listenOn: DEFAULT_LISTEN_ON }),
    new Option("--registry <url>", "registry of the domain; none: this manager keeps its own")
      .env("NSM_REGISTRY_URL")
      .argParser((url) => (url === NO_REGISTRY ? url : dialUrl(url)))
      .default("tcp://localhost:5001"),
    new Option("--forwarder-service <name>", "service under which forwarders register")
      .env("NSM_FORWARDER_NETWORK_SERVICE_NAME")
      .default("forwarder"),
  ],
  async start(app, { name, registry, forwarderService, listenOn = [DEFAULT_LISTEN_ON] }) {
    const registryUrl = registry === NO_REGISTRY ? undefined : registry;
    if (listenOn.some((url) => isSameSocket(url, registry))) {
      throw badConfiguration(
        `--registry "${registry}" is an address of this manager itself: use another process, or none`,
      );
    }
    const running = await serve(app, listenOn, (addresses) =>
      nsmgr({
        name,
        url: publicUrl(addresses),
        registryUrl,
        forwarderService,
        remotes: app.resolve(Tokens.remotes),
        tokens: app.resolve(Tokens.identity).tokens,
        until: app.resolve(Tokens.until),
        trace: app.resolve(Tokens.trace),
      }),
    );
    if (registryUrl === undefined) return running;
    const upstream = { what: "the registry", url: registryUrl, service: forwarderService };
    return { ...running, ready: upstreamAnswers(app, upstream) };
  },
};
