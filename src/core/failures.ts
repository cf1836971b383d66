import { Code, codeOf, NsmError, sharedCode } from "./errors.js";

/**
 * Throws the failures of several steps. If there is none, it returns. If there is one, it throws that failure.
 * Otherwise it throws an NsmError with `message`, all failures as its cause, and their common code or else the
 * code of the last failure.
 *
 * @example
 * import { throwFailures } from "nsm-sdk/core";
 * import { tcpListen } from "nsm-sdk/linux";
 *
 * const failures: unknown[] = [];
 * const at = { namespace: namespaces.endpoint, host: "::" };
 * const servers = [await tcpListen({ ...at, port: 80 }), await tcpListen({ ...at, port: 443 })];
 * for (const server of servers) await server.close().catch((error: unknown) => failures.push(error));
 * throwFailures(failures, "not every server was closed");
 */
export function throwFailures(failures: readonly unknown[], message: string): void {
  if (failures.length === 0) return;
  if (failures.length === 1) throw failures[0];
  const code = sharedCode(failures) ?? codeOf(failures.at(-1)) ?? Code.Unknown;
  throw new NsmError(code, message, { cause: new AggregateError(failures) });
}
