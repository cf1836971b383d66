import { describeStack } from "./describe-stack.js";
import { allBy } from "./stack.js";

const makers = allBy("go", { nse: "ours", nsc: "ours" });
describeStack("a Go registry, manager and forwarder with our client and endpoint", makers, "insecure");
describeStack("a Go registry, manager and forwarder with our client and endpoint", makers, "mutual TLS");
