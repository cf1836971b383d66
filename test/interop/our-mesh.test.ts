import { describeStack } from "./describe-stack.js";
import { allBy } from "./stack.js";

const makers = allBy("ours", { nse: "go", nsc: "go" });
describeStack("our registry, manager and forwarder with a Go client and endpoint", makers, "insecure");
describeStack("our registry, manager and forwarder with a Go client and endpoint", makers, "mutual TLS");
