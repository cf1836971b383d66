/**
 * The in-memory transport: all processes of a mesh run in one process, with the encoding, deadlines and
 * errors of gRPC, and with faults on demand.
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
