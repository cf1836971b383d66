import { Option } from "commander";
import { registry } from "../chains/registry/index.js";
import type { Limits } from "../registry/elements/limits/index.js";
import { registryLimitsOption } from "./config/limits.js";
import { commonOptions, type CommonConfig } from "./config/options.js";
import { oneOf } from "./config/values.js";
import type { Program } from "./runtime/program.js";
import { serve } from "./runtime/serve.js";
import { Tokens } from "./runtime/tokens.js";

interface RegistryConfig extends CommonConfig {
  readonly store: string;
  readonly registryLimits?: Limits | undefined;
}

const DEFAULT_LISTEN_ON = "unix:///listen.on.socket";

/** `nsmctl run registry`: stores the services and endpoints of a domain. */
export const registryProgram: Program<RegistryConfig> = {
  name: "registry",
  summary: "the registry of services and endpoints",
  options: () => [
    ...commonOptions({ name: "registry", listenOn: DEFAULT_LISTEN_ON }),
    new Option("--store <kind>", "storage of the entries: memory")
      .env("NSM_STORE")
      .argParser(oneOf("memory"))
      .default("memory"),
    registryLimitsOption(),
  ],
  async start(app, config) {
    const tokens = app.resolve(Tokens.identity).tokens;
    const until = app.resolve(Tokens.until);
    const trace = app.resolve(Tokens.trace);
    return serve(
      app,
      config.listenOn ?? [DEFAULT_LISTEN_ON],
      () => registry({ tokens, until, limits: config.registryLimits, trace }),
      // No descriptor belongs into the registry of a domain, which is the same for all machines.
      { attachments: false },
    );
  },
};
