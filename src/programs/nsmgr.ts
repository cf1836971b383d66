import { Option } from "commander";
import { nsmgr } from "../chains/nsmgr/index.js";
import { commonOptions, type CommonConfig } from "./config/options.js";
import { publicUrl } from "./config/public-url.js";
import { dialUrl } from "./config/values.js";
import type { Program } from "./program.js";
import { serve } from "./serve.js";
import { Tokens } from "./tokens.js";

interface NsmgrConfig extends CommonConfig {
  readonly registry: string;
  readonly forwarderService: string;
}

const DEFAULT_LISTEN_ON = "unix:///var/lib/networkservicemesh/nsm.io.sock";

/** `nsmctl run nsmgr`: the manager of a node. */
export const nsmgrProgram: Program<NsmgrConfig> = {
  name: "nsmgr",
  summary: "the network service manager of a node",
  options: () => [
    ...commonOptions({ name: "nsmgr", listenOn: DEFAULT_LISTEN_ON }),
    new Option("--registry <url>", "the registry of the domain; empty: this manager keeps its own")
      .env("NSM_REGISTRY_URL")
      .argParser((url) => url && dialUrl(url))
      .default("tcp://localhost:5001"),
    new Option("--forwarder-service <name>", "the service that forwarders register under")
      .env("NSM_FORWARDER_NETWORK_SERVICE_NAME")
      .default("forwarder"),
  ],
  start: (app, config) =>
    serve(app, config.listenOn ?? [DEFAULT_LISTEN_ON], (listenOn) =>
      nsmgr({
        name: config.name,
        url: publicUrl(listenOn),
        registryUrl: config.registry || undefined,
        forwarderService: config.forwarderService,
        links: app.resolve(Tokens.links),
        tokens: app.resolve(Tokens.identity).tokens,
        until: app.resolve(Tokens.until),
        trace: app.resolve(Tokens.trace),
      }),
    ),
};
