import { Code, codeName, NsmError } from "../core/index.js";

/**
 * The error of a failed call. It carries the code that the peer or the transport returned; its cause carries
 * the message. The full text names each hop: `NetworkService/Request at tcp://10.0.0.1:5001 failed: no
 * address left`.
 */
export function callFailed(method: string, url: string, code: number, details: string): NsmError {
  const known = codeName(code) === `code ${code}` || code === Code.Ok ? Code.Unknown : (code as Code);
  return new NsmError(known, `${shortName(method)} at ${url} failed`, {
    cause: new NsmError(known, details === "" ? codeName(known) : details),
  });
}

/** The error of a call that the caller's own signal ended: by a cancel or by its deadline. */
export function callAborted(method: string, url: string, reason: NsmError): NsmError {
  return new NsmError(reason.code, `${shortName(method)} at ${url} was aborted`, { cause: reason });
}

// "/networkservice.NetworkService/Request" to "NetworkService/Request".
function shortName(method: string): string {
  return method.replace(/^\/(.*\.)?/, "");
}
