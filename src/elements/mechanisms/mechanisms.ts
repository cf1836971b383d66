import {
  connectionOf,
  currentSegment,
  type MechanismType,
  Parameter,
  patchConnection,
  patchSegment,
  pathOf,
  type Connection,
  type Mechanism,
  type NetworkServiceRequest,
} from "../../api/index.js";
import {
  chain,
  Code,
  tryEach,
  NsmError,
  type Context,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";

/**
 * The elements for each type of mechanism; an empty list accepts it as it is. Declare a type of your own by merging it
 * into this interface: `declare module "nsm-sdk/elements/mechanisms"`.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- others merge into it
export interface MechanismChains extends KnownMechanismChains {}

/** The elements for one type of mechanism. */
export type MechanismElements = NetworkServiceElement | Elements<NetworkService> | undefined;

/** The types of mechanism that NSM defines. */
export type KnownMechanismChains = {
  readonly [Type in (typeof MechanismType)[keyof typeof MechanismType]]?: MechanismElements;
};

/** Server side: selects one of the client's preferred mechanisms. After begin and IPAM. */
export function mechanismsServer(chains: MechanismChains): NetworkServiceElement {
  return mechanisms("server", chains, (request, mechanism) => patchConnection(request, { mechanism }));
}

/** Client side: offers one mechanism after the other. Before connectClient(). */
export function mechanismsClient(chains: MechanismChains): NetworkServiceElement {
  return mechanisms("client", chains, (request, mechanism) => ({
    ...request,
    mechanismPreferences: [mechanism],
  }));
}

/** Both sides. A Request for a type without an entry fails with INVALID_ARGUMENT. */
function mechanisms(
  side: "server" | "client",
  chains: MechanismChains,
  ask: (request: NetworkServiceRequest, mechanism: Mechanism) => NetworkServiceRequest,
): NetworkServiceElement {
  const given = withoutUndefined(chains);
  const roads = new Map(
    Object.entries(given).map(([type, elements]) => [type, chain.nest([elements].flat())]),
  );
  const unsupported = (what: string): NsmError =>
    new NsmError(Code.InvalidArgument, `${what}; supported: ${[...roads.keys()].join(", ") || "none"}`);

  const roadOf = ({ type }: Mechanism): ((next: NetworkService) => NetworkService) => {
    const road = roads.get(type);
    if (!road) throw unsupported(`mechanism "${type}" is not supported`);
    return road;
  };

  /** Returns the result of the first preference that works. */
  async function firstPreference(
    ctx: Context,
    request: NetworkServiceRequest,
    attempt: (mechanism: Mechanism) => Promise<Connection>,
  ): Promise<Connection> {
    const offered = request.mechanismPreferences;
    const usable = offered.filter(({ type }) => roads.has(type));
    if (usable.length === 0) {
      const types = offered.map(({ type }) => `"${type}"`).join(", ");
      throw unsupported(
        types ? `none of the mechanisms ${types} is supported` : "the request offers no mechanism",
      );
    }
    const types = usable.map(({ type }) => type).join(", ");
    return tryEach(ctx, usable, attempt, (tried) => `none of ${tried} mechanisms worked: ${types}`);
  }

  return {
    name: `mechanisms/${side}`,
    nested: Object.values(given).map((elements) => [elements].flat()),

    async request(ctx, request, next) {
      const chosen = connectionOf(request).mechanism;
      const response = chosen
        ? await roadOf(chosen)(next).request(ctx, request)
        : await firstPreference(ctx, request, (mechanism) =>
            roadOf(mechanism)(next).request(ctx, ask(request, mechanism)),
          );
      return withMetric(response, `${side}_interface`);
    },

    async close(ctx, connection, next) {
      // A Close after a lost answer, or from a restarted hop, has no mechanism.
      const road = connection.mechanism ? roadOf(connection.mechanism)(next) : next;
      await road.close(ctx, connection);
    },
  };
}

/** Adds the interface name to the metrics of the own segment, unless it is present. */
function withMetric(connection: Connection, metric: string): Connection {
  const { mechanism } = connection;
  const metrics = currentSegment(connection)?.metrics;
  if (!mechanism || !metrics || Object.hasOwn(metrics, metric)) return connection;
  const value = `${mechanism.type}/${mechanism.parameters[Parameter.name] || "unknown"}`;
  return patchSegment(connection, pathOf(connection).index, { metrics: { ...metrics, [metric]: value } });
}

function withoutUndefined(chains: MechanismChains): Record<string, NonNullable<MechanismElements>> {
  const entries = Object.entries(chains) as [string, MechanismElements][];
  return Object.fromEntries(entries.filter(([, elements]) => elements !== undefined)) as Record<
    string,
    NonNullable<MechanismElements>
  >;
}
