/**
 * Gives each type of mechanism elements of its own and takes the first that works.
 *
 * A connection whose mechanism is chosen goes through the elements of that type. Otherwise the preferences are
 * tried in their order: on the server side the connection is given that mechanism, on the client side only that
 * one is offered to the next hop. The own path segment's metrics name the interface (`server_interface`,
 * `client_interface`: `KERNEL/nsm-1`).
 *
 * @example
 * import { chain, kernelServer, mechanismsServer } from "nsm-sdk";
 *
 * chain([...elements, mechanismsServer({ KERNEL: [kernelServer()], NOOP: [] })]);
 *
 * @packageDocumentation
 */
export { mechanismsClient, mechanismsServer, type MechanismChains } from "./mechanisms.js";
