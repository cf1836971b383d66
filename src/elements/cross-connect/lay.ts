import { isDeepStrictEqual } from "node:util";
import type { Connection } from "../../api/index.js";
import { explain, log, type Context } from "../../core/index.js";
import { configure, prepare, type Applied } from "./configure.js";
import { endConfig, type EndConfig } from "./end-config.js";
import type { Kernel, NewEnd } from "./kernel.js";
import { assertNameIsFree, type Pair, type Place } from "./veth.js";
import { expiryOf, type Wire, type WireEnd } from "./wire.js";

/** An existing vWire and the configuration of its ends. */
export interface LaidWire {
  readonly wire: Wire;
  /** Undefined if another process created the vWire. */
  readonly configs: Configs | undefined;
}

interface Configs {
  readonly client: EndConfig;
  readonly endpoint: EndConfig;
}

/** The vWire to create or keep. */
export interface Plan {
  readonly ctx: Context;
  /** The answer of the endpoint. */
  readonly connection: Connection;
  readonly client: Place;
  readonly endpoint: Place;
}

/**
 * Creates a new vWire if the interface names are free. It calls `remember` before it changes the kernel, so
 * that a restarted forwarder knows the vWire. If it fails, it leaves nothing except the effect of `remember`.
 */
export async function makeWire(
  kernel: Kernel,
  plan: Plan,
  remember: (wire: Wire) => Promise<void>,
): Promise<LaidWire> {
  const { client, endpoint } = plan;
  const configs = configsOf(plan);
  await assertNameIsFree(client);
  await assertNameIsFree(endpoint);
  await remember(wireOf(plan));

  const ends = [client, endpoint].map(({ namespace, name, mark }): NewEnd => {
    const { mtu } = configs.client;
    return { namespace, name, ...mark, ...(mtu > 0 && { mtu }) };
  });
  const { a, b } = await kernel.createVeth(ends[0]!, ends[1]!);
  try {
    return await configured(plan, { client: a, endpoint: b }, configs);
  } catch (error) {
    await client.namespace.deleteLink(a.index);
    throw error;
  }
}

/**
 * Keeps an existing pair of interfaces and changes only the settings that differ. If this fails, it restores
 * the earlier settings as far as they are known.
 */
export async function keepWire(plan: Plan, pair: Pair, before: LaidWire | undefined): Promise<LaidWire> {
  const configs = configsOf(plan, pair);
  try {
    return await configured(plan, pair, configs, before);
  } catch (error) {
    if (before?.configs) await restore(plan, pair, configs, before as Required<LaidWire>);
    throw error;
  }
}

async function configured(
  plan: Plan,
  pair: Pair,
  configs: Configs,
  before?: LaidWire | undefined,
): Promise<LaidWire> {
  const { ctx, client, endpoint } = plan;
  if (!before?.configs) {
    prepare(ctx, client.namespace, client.name, configs.client);
    prepare(ctx, endpoint.namespace, endpoint.name, configs.endpoint);
  }
  const configureAt = async ({ whose, namespace }: Place): Promise<Applied> => {
    const { index } = pair[whose];
    const applied = await configure(namespace, index, configs[whose], before?.wire[whose] ?? nothing);
    if (!isDeepStrictEqual(before?.configs?.[whose].addresses, configs[whose].addresses)) {
      await namespace.addressesUsable(index, {
        timeoutMs: ctx.remainingMs ?? USABLE_WITHIN_MS,
        signal: ctx.signal,
      });
    }
    return applied;
  };
  const at = { client: await configureAt(client), endpoint: await configureAt(endpoint) };
  return { wire: wireOf(plan, pair, at), configs };
}

/** How long to wait until new addresses are usable if the caller has no deadline, in milliseconds. */
const USABLE_WITHIN_MS = 5_000;

const nothing: Applied = { routes: [], neighbors: [] };

async function restore(
  { ctx, client, endpoint }: Plan,
  pair: Pair,
  failed: Configs,
  { wire, configs }: LaidWire,
): Promise<void> {
  const all = (side: "client" | "endpoint"): Applied => ({
    routes: [...wire[side].routes, ...failed[side].routes.map(({ destination }) => destination)],
    neighbors: [...wire[side].neighbors, ...failed[side].neighbors.map(({ address }) => address)],
  });
  try {
    await configure(client.namespace, pair.client.index, configs!.client, all("client"));
    await configure(endpoint.namespace, pair.endpoint.index, configs!.endpoint, all("endpoint"));
  } catch (error) {
    log(ctx).warn({ connection: wire.connection, error: explain(error) }, "could not undo a failed change");
  }
}

function configsOf({ connection, client, endpoint }: Plan, pair?: Pair): Configs {
  return {
    client: endConfig(connection, "client", pair?.endpoint.mac ?? endpoint.mark.mac),
    endpoint: endConfig(connection, "endpoint", pair?.client.mac ?? client.mark.mac),
  };
}

function wireOf(
  { ctx, connection, client, endpoint }: Plan,
  pair?: Pair,
  applied: Record<"client" | "endpoint", Applied> = { client: nothing, endpoint: nothing },
): Wire {
  const end = ({ path, reachableId, namespace, name, mark, whose }: Place): WireEnd => ({
    path,
    reachableId,
    namespace: namespace.id,
    name,
    ...mark,
    index: pair?.[whose].index,
    ...applied[whose],
  });
  return {
    version: 1,
    connection: connection.id,
    expires: expiryOf(connection, ctx.clock.now()),
    client: end(client),
    endpoint: end(endpoint),
  };
}
