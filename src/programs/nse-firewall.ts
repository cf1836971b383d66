import { Option } from "commander";
import type { DependencyContainer } from "tsyringe";
import { Code, codeOf, explain, type Logger } from "../core/index.js";
import { firewall, watchedRules, type Firewall, type RulesSource } from "../elements/firewall/index.js";
import { onOff } from "./config/options.js";
import { badConfiguration, list } from "./config/values.js";
import { nseOptions, startEndpoint, type NseConfig } from "./nse.js";
import type { Program, Running } from "./runtime/program.js";
import { Tokens } from "./runtime/tokens.js";

interface NseFirewallConfig extends NseConfig {
  readonly config?: string;
  readonly allowForeignSources?: boolean;
}

/** Path of the rules in the manifests of the Go program. */
const DEFAULT_CONFIG = "/etc/firewall/config.yaml";

/**
 * `nsmctl run nse-firewall`: an endpoint that filters the packets of its clients. Prints a JSON line when the
 * rules changed (`{"event":"rules","rules":3}`) or were rejected (`{"event":"rules-refused","error":"…"}`),
 * and the counters on SIGUSR2 (`{"event":"counters",…}`). SIGUSR1 additionally sets the log level to trace.
 */
export const nseFirewallProgram: Program<NseFirewallConfig> = {
  name: "nse-firewall",
  summary: "an endpoint that filters what its clients send",
  options: () => [
    ...nseOptions("nse-firewall"),
    new Option("--config <file>", `file of rules, reloaded when it changes (default: ${DEFAULT_CONFIG})`).env(
      "NSM_ACL_CONFIG_PATH",
    ),
    onOff(
      "--allow-foreign-sources",
      "accept packets from source addresses that are not the client's",
      "NSM_ALLOW_FOREIGN_SOURCES",
    ),
  ],
  async start(app, config) {
    const rules = await readRules(config.config);
    if (config.controlPlaneOnly) {
      rules.close();
      return startEndpoint(app, withService(config), []);
    }
    const logger = app.resolve(Tokens.logger);
    if (rules.current().rules.length === 0) logger.warn({}, "the list of rules is empty: all packets pass");
    const element = firewall({
      name: config.name,
      rules,
      ...(config.netns !== undefined && { netns: config.netns }),
      allowForeignSources: config.allowForeignSources,
      onEvent: print,
      clock: app.resolve(Tokens.clock),
      logger,
    });
    return startWithFirewall(element, app, withService(config), logger);
  },
};

/** Starts the firewall, then the endpoint. Stops them in reverse order. */
async function startWithFirewall(
  element: Firewall,
  app: DependencyContainer,
  config: NseConfig,
  logger: Logger,
): Promise<Running> {
  const printCounters = (): void =>
    void element.counters().then(
      (counters) => print({ event: "counters", ...counters }),
      (error: unknown) => logger.warn({ error: explain(error) }, "the counters cannot be read"),
    );
  let running: Running;
  try {
    await element.prepare();
    running = await startEndpoint(app, config, [element]);
  } catch (error) {
    await element
      .stop()
      .catch((second: unknown) => logger.debug({ error: explain(second) }, "no table could be removed"));
    throw error;
  }
  process.on("SIGUSR2", printCounters);
  return {
    ...running,
    async stop() {
      process.off("SIGUSR2", printCounters);
      try {
        await running.stop();
      } finally {
        await element.stop();
      }
    },
  };
}

async function readRules(file: string | undefined): Promise<RulesSource> {
  try {
    return await watchedRules(file ?? DEFAULT_CONFIG);
  } catch (error) {
    if (file !== undefined || codeOf(error) !== Code.NotFound) throw error;
    throw badConfiguration(`--config was not given, and ${explain(error)}`);
  }
}

/** The Go firewall provides one service, set by its own variable. */
function withService(config: NseFirewallConfig): NseConfig {
  const service = config.service ?? list(process.env.NSM_SERVICE_NAME ?? "");
  return { ...config, service };
}

function print(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
