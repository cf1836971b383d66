import { Option } from "commander";
import type { InboundLimits } from "../../inbound/index.js";
import { limitsOption } from "./limits.js";
import {
  addressAndPort,
  bool,
  dialUrl,
  identitySource,
  labels,
  listenUrl,
  oneOf,
  positiveDuration,
  repeatable,
  type IdentitySource,
} from "./values.js";

/** Options shared by all programs. */
export interface CommonConfig {
  readonly name: string;
  readonly listenOn?: readonly string[];
  readonly identity?: IdentitySource;
  readonly insecure?: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
  readonly metrics?: { readonly address: string; readonly port: number };
  readonly maxTokenLifetime: number;
  readonly limits?: InboundLimits | undefined;
}

/** Values of `--log-level`. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** Values of `--log-format`. */
export type LogFormat = "auto" | "text" | "json";

const formats: readonly LogFormat[] = ["auto", "text", "json"];
const levels: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error", "fatal"];

/** The options of every program. Programs differ in the defaults of `name` and `listenOn`. */
export function commonOptions({ name, listenOn }: { name: string; listenOn: string }): Option[] {
  return [
    new Option("--name <name>", "name of this process in the path").env("NSM_NAME").default(name),
    // Not a Commander default, because a repeatable option would append to it.
    new Option(
      "--listen-on <url,…>",
      `addresses to serve on: unix:///path, tcp://addr:port, port 0 for any (default: ${listenOn})`,
    )
      .env("NSM_LISTEN_ON")
      .argParser((text, before: readonly string[] | undefined) => {
        const urls = repeatable(text, before);
        urls.forEach(listenUrl);
        return urls;
      }),
    new Option(
      "--identity <source>",
      "spiffe: the Workload API at SPIFFE_ENDPOINT_SOCKET; files=DIR with ca.pem, svid.pem, key.pem",
    )
      .env("NSM_IDENTITY")
      .argParser(identitySource),
    onOff("--insecure", "no TLS and no policies: for trials only", "NSM_INSECURE"),
    new Option("--log-level <level>", levels.join(", "))
      .env("NSM_LOG_LEVEL")
      .argParser(oneOf(...levels))
      .default("info" satisfies LogLevel),
    new Option("--log-format <format>", `${formats.join(", ")}; auto: text on a terminal, else json`)
      .env("NSM_LOG_FORMAT")
      .argParser(oneOf(...formats))
      .default("auto" satisfies LogFormat),
    new Option("--metrics <addr:port>", "address to serve Prometheus metrics on")
      .env("NSM_METRICS")
      .argParser(addressAndPort),
    new Option("--max-token-lifetime <duration>", "maximum lifetime of a token")
      .env("NSM_MAX_TOKEN_LIFETIME")
      .argParser(positiveDuration)
      .default(600_000, "10m"),
    limitsOption(),
  ];
}

/** The option that sets the address of the local manager. */
export function connectToOption(): Option {
  return new Option("--connect-to <url>", "address of the network service manager")
    .env("NSM_CONNECT_TO")
    .argParser(dialUrl)
    .default("unix:///var/lib/networkservicemesh/nsm.io.sock");
}

/** The option for programs that use the kernel. */
export function controlPlaneOnlyOption(): Option {
  return onOff(
    "--control-plane-only",
    "negotiate connections without changing the kernel",
    "NSM_CONTROL_PLANE_ONLY",
  );
}

/** The option that sets the namespace of a program's interfaces. */
export function netnsOption(): Option {
  return new Option(
    "--netns <path>",
    "network namespace of the interfaces, such as /run/netns/x (default: own)",
  ).env("NSM_NETNS");
}

/** The option that sets the labels to register with. */
export function labelsOption(defaults: Record<string, string> = {}): Option {
  return new Option("--labels <k=v,…>", "labels to register with")
    .env("NSM_LABELS")
    .argParser(labels)
    .default(
      defaults,
      Object.entries(defaults)
        .map(([k, v]) => `${k}=${v}`)
        .join(",") || "none",
    );
}

/** A boolean option that is on without a value. Its variable can be `false`, which must turn it off. */
export function onOff(flag: string, description: string, variable: string): Option {
  return new Option(`${flag} [bool]`, description).env(variable).preset("true").argParser(bool);
}
