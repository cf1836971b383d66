import { describeLink } from "./describe-link.js";
import { grpcKit } from "./grpc-kit.js";
import { tlsIdentities } from "./tls-identities.js";

describeLink("gRPC on TCP", () => grpcKit({ over: "tcp" }));
describeLink("gRPC on a unix socket", () => grpcKit({ over: "unix" }));
describeLink("gRPC with mutual TLS on TCP", () => grpcKit({ over: "tcp", ...tlsIdentities() }));
describeLink("gRPC with mutual TLS on a unix socket", () => grpcKit({ over: "unix", ...tlsIdentities() }));
