import { MechanismType, type Connection } from "../../api/index.js";
import { log } from "../../core/index.js";
import { ping, type NetworkNamespace } from "../../linux/index.js";
import { addressesOf, formatAddress } from "../../net/index.js";
import type { LivenessCheck } from "./watch.js";

/** Where the client's interfaces are. */
export interface KernelLivenessOptions {
  /** Open for as long as the check is used. */
  readonly namespace: NetworkNamespace;
}

/** How many echoes each pair of addresses is asked for. */
const ECHOES = 4;
/** Of the time there is: a late answer is to be counted before the time is over. */
const PATIENCE = 0.9;
const DEFAULT_TIMEOUT_MS = 1_000;

/**
 * Asks the far end of a KERNEL connection for echoes: alive when one came back for every pair of a client's and
 * an endpoint's address of the same family. Without addresses there is nobody to ask, and the connection counts
 * as alive, as one of another mechanism does. NSM protocol, liveness probes.
 *
 * @throws NsmError when a probe cannot be sent, since the interface or its address is gone.
 *
 * @example
 * import { heal, kernelLiveness } from "nsm-sdk/elements/heal";
 * import { monitorHub } from "nsm-sdk/elements/monitor";
 * import { openNamespace } from "nsm-sdk/linux";
 *
 * const namespace = openNamespace("/run/netns/red");
 * const hub = monitorHub({ scope: "connection", until });
 * heal({ hub, until, liveness: { check: kernelLiveness({ namespace }) } });
 */
export function kernelLiveness({ namespace }: KernelLivenessOptions): LivenessCheck {
  return async (ctx, connection) => {
    const { id, mechanism } = connection;
    if (mechanism?.type !== MechanismType.Kernel) {
      log(ctx).warn({ connection: id, mechanism: mechanism?.type }, "only KERNEL connections can be pinged");
      return true;
    }
    const timeoutMs = PATIENCE * (ctx.remainingMs ?? DEFAULT_TIMEOUT_MS);
    const { signal } = ctx;
    const answers = await Promise.all(
      pairsOf(connection).map((pair) => ping({ namespace, ...pair, count: ECHOES, timeoutMs, signal })),
    );
    // Where the way was lost in between, what came before says nothing.
    return answers.every(({ received, unreachable }) => received > 0 && unreachable === undefined);
  };
}

function pairsOf({ context }: Connection): { from: string; to: string }[] {
  const ip = context?.ipContext;
  if (!ip) return [];
  return addressesOf(ip, "client").flatMap(({ address: from }) =>
    addressesOf(ip, "endpoint")
      .filter(({ address: to }) => to.family === from.family)
      .map(({ address: to }) => ({ from: formatAddress(from), to: formatAddress(to) })),
  );
}
