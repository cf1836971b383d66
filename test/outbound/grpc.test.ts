import { describeRemote } from "./describe-remote.js";
import { grpcKit } from "./grpc-kit.js";
import { tlsIdentities } from "./tls-identities.js";

describeRemote("gRPC on TCP", () => grpcKit({ over: "tcp" }));
describeRemote("gRPC on a unix socket", () => grpcKit({ over: "unix" }));
describeRemote("gRPC with mutual TLS on TCP", () => grpcKit({ over: "tcp", ...tlsIdentities() }));
describeRemote("gRPC with mutual TLS on a unix socket", () => grpcKit({ over: "unix", ...tlsIdentities() }));
