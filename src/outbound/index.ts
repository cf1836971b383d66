/**
 * The client side: the services of other processes as remotes, over gRPC.
 *
 * @packageDocumentation
 */
export { attachments, serverPeer, type ServerPeerHolder } from "./caller.js";
export { grpcRemotes, type GrpcRemotes, type GrpcRemotesOptions } from "./grpc-remotes.js";
export type { Health, HealthRemote, HealthRemotes } from "./remote.js";
