import { describe } from "vitest";
import { callTests } from "./remote-calls.js";
import { useKit, type RemoteKit } from "./remote-kit.js";
import { streamTests } from "./remote-streams.js";

/** The promises of a remote, whatever lies between its ends. */
export function describeRemote(name: string, kitOf: () => Promise<RemoteKit>): void {
  describe(`a remote over ${name}`, () => {
    useKit(kitOf);
    callTests();
    streamTests();
  });
}
