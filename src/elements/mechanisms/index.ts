/**
 * Runs separate elements for each mechanism type and selects the first mechanism that works.
 *
 * If the connection has a mechanism, the elements of that type run. Otherwise the preferences are tried in
 * order. On the server side, the connection gets that mechanism; on the client side, only that mechanism is
 * offered to the next hop. The metrics of the own path segment record the interface name (`server_interface`,
 * `client_interface`: `KERNEL/nsm-1`).
 *
 * @example
 * import { chain, kernelServer, mechanismsServer } from "nsm-sdk";
 *
 * chain([...elements, mechanismsServer({ KERNEL: [kernelServer()], NOOP: [] })]);
 *
 * @packageDocumentation
 */
// All of it: an interface that others merge into must not be exported by name.
export * from "./mechanisms.js";
