/**
 * The test kit: chains in virtual time, probes to place between elements, and contract suites for built-in
 * and custom elements.
 *
 * @example
 * import { Code, connectionState } from "nsm-sdk";
 * import { groupIpam } from "nsm-sdk/elements/ipam/group";
 * import { failOnce, recorder, run } from "nsm-sdk/testing";
 *
 * const seen = recorder();
 * const { request, leftovers } = run([
 *   connectionState(),
 *   groupIpam([["10.0.0.0/24"]]),
 *   seen,
 *   failOnce(Code.Unavailable),
 * ]);
 * await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
 * expect(leftovers()).toEqual({});
 *
 * @packageDocumentation
 */
export { describeElement } from "./describe-element.js";
export { describeRegistry } from "./registry-store/describe-registry.js";
export type { StoreUnderTest } from "./registry-store/store-bench.js";
export { describeRegistryElement } from "./describe-registry-element.js";
export type { ElementContract, ElementSurroundings } from "./element-trial.js";
export { freezing, frozen } from "./frozen.js";
export { sampleConnection, sampleEndpoint, sampleRequest, TOKEN_LIFETIME_MS } from "./messages.js";
export {
  checkContext,
  failAfter,
  failOnce,
  hold,
  recorder,
  type Hold,
  type Method,
  type Probe,
  type Recorder,
} from "./probes.js";
export type { RegistryElementContract } from "./registry-trial.js";
export { run, runRegistry, type RegistryRun, type Run, type RunOptions } from "./run.js";
export { virtualClock, type VirtualClock } from "./virtual-clock.js";
export {
  mesh,
  type Mesh,
  type MeshClient,
  type MeshClientOptions,
  type MeshEndpoint,
  type MeshEndpointOptions,
  type MeshNode,
  type MeshOptions,
  type MeshVirtual,
} from "./mesh/index.js";
