import { MechanismType, type Connection } from "../../api/index.js";
import { log } from "../../core/index.js";
import { ping, type NetworkNamespace } from "../../linux/index.js";
import { addressesOf, formatAddress } from "../../net/index.js";
import type { LivenessCheck } from "./watch.js";

/** Options of kernelLiveness(). */
export interface KernelLivenessOptions {
  /** The network namespace of the client's interfaces. Keep it open while the check is used. */
  readonly namespace: NetworkNamespace;
}

/** Number of echo requests per pair of addresses. */
const ECHOES = 4;
/** Share of the time limit to wait for replies, so that the result is ready before the limit. */
const PATIENCE = 0.9;
const DEFAULT_TIMEOUT_MS = 1_000;

/**
 * Sends echo requests to the endpoint of a KERNEL connection. The connection is alive if every pair of a client
 * address and an endpoint address of the same family gets a reply. A connection without addresses, or with
 * another mechanism, counts as alive. NSM protocol, liveness probes.
 *
 * @throws NsmError if a probe cannot be sent, because the interface or its address is gone.
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
    // If the route was lost during the check, earlier replies do not count.
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
