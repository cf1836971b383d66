import { Option } from "commander";
import { connectService } from "../../chains/client/index.js";
import { HealBudget, kernelLiveness, type LivenessOptions } from "../../elements/heal/index.js";
import {
  commonOptions,
  connectToOption,
  controlPlaneOnlyOption,
  netnsOption,
  type CommonConfig,
} from "../config/options.js";
import { requestUrls, type RequestedService } from "../config/request-url.js";
import { badConfiguration, bool, checked, positiveDuration, repeatable } from "../config/values.js";
import { sumDebugStates } from "../../core/element.js";
import type { Program } from "../runtime/program.js";
import { assertCapabilities, isOwnNamespace, openNetns } from "../runtime/checks.js";
import { upstreamAnswers } from "../runtime/upstream.js";
import { startServer } from "../runtime/serve.js";
import { Tokens } from "../runtime/tokens.js";
import type { NetworkNamespace } from "../../linux/index.js";
import { eventLine } from "./event-line.js";

interface NscConfig extends CommonConfig {
  readonly connectTo: string;
  readonly request?: readonly RequestedService[];
  readonly requestTimeout: number;
  readonly netns?: string;
  readonly controlPlaneOnly?: boolean;
  readonly livenessCheck: boolean;
  readonly livenessInterval: number;
  readonly livenessTimeout: number;
}

/** `nsmctl run nsc`: requests connections and keeps them up. */
export const nscProgram: Program<NscConfig> = {
  name: "nsc",
  summary: "a client that requests connections and keeps them up",
  options: () => [
    ...commonOptions({ name: "nsc", listenOn: "nowhere" }),
    connectToOption(),
    new Option("--request <url,…>", "kernel://SERVICE[@DOMAIN]/INTERFACE?label=value; repeatable")
      .env("NSM_NETWORK_SERVICES")
      .argParser((text, before: readonly RequestedService[] | undefined) =>
        checked(() => requestUrls(repeatable(text, undefined), before))(text),
      ),
    new Option("--request-timeout <duration>", "time limit of one attempt")
      .env("NSM_REQUEST_TIMEOUT")
      .argParser(positiveDuration)
      .default(15_000, "15s"),
    netnsOption(),
    controlPlaneOnlyOption(),
    new Option("--liveness-check <bool>", "ping the endpoint, and heal a connection that stops answering")
      .env("NSM_LIVENESS_CHECK_ENABLED")
      .argParser(bool)
      .default(true),
    new Option("--liveness-interval <duration>", "interval of the pings")
      .env("NSM_LIVENESS_CHECK_INTERVAL")
      .argParser(positiveDuration)
      .default(200, "200ms"),
    new Option("--liveness-timeout <duration>", "time limit of a reply")
      .env("NSM_LIVENESS_CHECK_TIMEOUT")
      .argParser(positiveDuration)
      .default(1_000, "1s"),
  ],

  async start(app, config) {
    const requests = config.request ?? [];
    if (requests.length === 0) {
      throw badConfiguration("--request was not given: name at least one kernel://SERVICE/INTERFACE");
    }
    const until = app.resolve(Tokens.until);
    const clock = app.resolve(Tokens.clock);
    const logger = app.resolve(Tokens.logger);
    // Opened at the start, so that a wrong --netns is reported immediately.
    const namespace = config.controlPlaneOnly ? undefined : openNetns(config.netns);
    if (namespace && config.livenessCheck && !isOwnNamespace(namespace))
      assertCapabilities(["CAP_SYS_ADMIN"], "to send its liveness checks from --netns");
    const liveness = namespace && livenessOf(config, namespace);
    const health = config.listenOn ? await startServer(app, config.listenOn, {}) : undefined;
    const budget = new HealBudget();
    const connections = requests.map(({ networkService, labels, mechanism }, i) =>
      connectService({
        name: config.name,
        // The namespace keeps clients of one name apart. A client restarted in it gets its connections back.
        id: `${config.name}-${namespace?.inode ?? process.pid}-${i}`,
        service: networkService,
        labels,
        mechanism,
        netns: config.netns,
        connectTo: config.connectTo,
        identity: app.resolve(Tokens.identity),
        remotes: app.resolve(Tokens.remotes),
        elements: app.resolve(Tokens.extraElements),
        heal: { budget, liveness },
        tryTimeoutMs: config.requestTimeout,
        until,
        clock,
        logger,
        trace: app.resolve(Tokens.trace),
      }),
    );
    for (const { events } of connections) events.subscribe((event) => process.stdout.write(eventLine(event)));
    return {
      listenOn: health?.listenOn ?? [],
      debugState: () => connections.map((connection) => connection.debugState()).reduce(sumDebugStates, {}),
      ready: upstreamAnswers(app, {
        what: "the manager",
        url: config.connectTo,
        service: requests[0]!.networkService,
      }),
      failed: Promise.all(connections.map(({ established }) => established)).then(() => {}),
      async stop() {
        // A Close that failed was printed; the program ends all the same.
        await Promise.allSettled(connections.map((connection) => connection.close()));
        await health?.close();
        namespace?.close();
      },
    };
  },
};

/** The liveness check of the data plane. Undefined if it is disabled. */
function livenessOf(config: NscConfig, namespace: NetworkNamespace): LivenessOptions | undefined {
  if (!config.livenessCheck) return undefined;
  return {
    check: kernelLiveness({ namespace }),
    intervalMs: config.livenessInterval,
    timeoutMs: config.livenessTimeout,
    onceAnswered: true,
  };
}
