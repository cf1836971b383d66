import { describeChecks } from "../suite.js";
import { endpointFinds } from "./endpoint-finds.js";
import { endpointWatches } from "./endpoint-watches.js";
import { networkServices } from "./network-services.js";
import { within, type StoreUnderTest } from "./store-bench.js";

/**
 * The contract of a store for both registries, as a test suite. It runs in real time, so that it also works
 * for stores outside the process. Works only in vitest test files.
 *
 * @example
 * import { memoryEndpoints, memoryNetworkServices } from "nsm-sdk/registry/stores/memory";
 * import { describeRegistry } from "nsm-sdk/testing";
 *
 * describeRegistry("memory", () => ({
 *   networkServices: [memoryNetworkServices()],
 *   endpoints: [memoryEndpoints()],
 * }));
 */
export function describeRegistry(
  name: string,
  factory: () => StoreUnderTest | Promise<StoreUnderTest>,
): void {
  const ofStore = within(factory);
  describeChecks(`${name} as a store of endpoints`, [...endpointFinds(ofStore), ...endpointWatches(ofStore)]);
  describeChecks(`${name} as a store of network services`, networkServices(ofStore));
}
