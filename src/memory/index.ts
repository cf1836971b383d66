/**
 * The in-memory transport: processes of a mesh in one process, with the encoding, deadlines and errors of gRPC, and
 * with faults to order.
 *
 * @packageDocumentation
 */
export {
  memoryNetwork,
  type MemoryCaller,
  type MemoryListener,
  type MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryParty,
  type MemoryServer,
} from "./network.js";
export type { MessageDelay, MemoryFaults, RemoveFault, FaultFilter } from "./faults.js";
