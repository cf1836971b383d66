/**
 * Registry, nsmgr, forwarder, endpoints and clients in one process. Each of them can be killed.
 *
 * @packageDocumentation
 */
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
} from "./mesh.js";
