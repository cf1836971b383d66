import { describeStack } from "./describe-stack.js";
import { allBy } from "./stack.js";

// The scenarios themselves are right only if Go passes them among its own.
describeStack("a Go mesh", allBy("go"), "insecure");
describeStack("a Go mesh", allBy("go"), "mutual TLS");
