import { explain, type NsmError } from "../core/index.js";

/** Reports a problem of an identity as a warning of the process. */
export function warnOfIdentity(problem: NsmError): void {
  process.emitWarning(explain(problem), "NsmIdentityWarning");
}
