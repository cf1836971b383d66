import { Code, codeName, NsmError } from "../core/index.js";

/**
 * What a peer, or the way to it, said about a failed call: the code as it came, and in the cause the sentence.
 * Read as a whole it shows the hops: `NetworkService/Request at tcp://10.0.0.1:5001 failed: no address left`.
 */
export function callFailed(method: string, url: string, code: number, details: string): NsmError {
  const known = codeName(code) === `code ${code}` || code === Code.Ok ? Code.Unknown : (code as Code);
  return new NsmError(known, `${shortName(method)} at ${url} failed`, {
    cause: new NsmError(known, details === "" ? codeName(known) : details),
  });
}

/** What the caller's own signal said: it was cancelled, or its time was over. */
export function callAborted(method: string, url: string, reason: NsmError): NsmError {
  return new NsmError(reason.code, `${shortName(method)} at ${url} was given up`, { cause: reason });
}

// "/networkservice.NetworkService/Request" to "NetworkService/Request".
function shortName(method: string): string {
  return method.replace(/^\/(.*\.)?/, "");
}
