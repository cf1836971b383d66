import { Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import { connectService } from "../../src/chains/client/index.js";
import { serveEndpoint } from "../../src/chains/endpoint/index.js";
import { Code } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";

/** An identity that shows how many subscribers it has. */
function identityWith(changes: Subject<void>) {
  return { ...insecureIdentity(), changes };
}

const connectTo = "tcp://127.0.0.1:1";
const misplaced = [{ name: "x", inside: ["what-is-missing"] }];

describe("connectService", () => {
  const texts = "a text that is not empty";
  const above0 = "a number of milliseconds above 0";
  test.each([
    [{ name: "" }, `option "name" of connectService() was "": allowed is ${texts}`],
    [{ service: undefined }, `option "service" of connectService() was undefined: allowed is ${texts}`],
    [{ connectTo: undefined }, `option "connectTo" of connectService() was undefined: allowed is ${texts}`],
    [{ tryTimeoutMs: 0 }, `option "tryTimeoutMs" of connectService() was 0: allowed is ${above0}`],
    [{ tryTimeoutMs: NaN }, `option "tryTimeoutMs" of connectService() was NaN: allowed is ${above0}`],
    [{ tryTimeoutMs: "15s" }, `option "tryTimeoutMs" of connectService() was "15s": allowed is ${above0}`],
    [{ connectTo: "nowhere" }, '"nowhere" is not an address to dial'],
    [{ elements: misplaced }, "x must stand inside what-is-missing"],
  ])("rejects %o, names what is allowed, and holds nothing", (wrong, message) => {
    const changes = new Subject<void>();
    const options = { name: "nsc", service: "firewall", connectTo, identity: identityWith(changes) };
    expect(() => connectService({ ...options, ...(wrong as object) })).toThrow(message);
    expect(changes.observed).toBe(false);
  });
});

describe("serveEndpoint", () => {
  const lists = "a list of one or more texts that are not empty";
  test.each([
    [{ name: "" }, 'option "name" of serveEndpoint() was ""'],
    [{ connectTo: undefined }, 'option "connectTo" of serveEndpoint() was undefined'],
    [{ services: [] }, `option "services" of serveEndpoint() was []: allowed is ${lists}`],
    [{ services: "firewall" }, `option "services" of serveEndpoint() was "firewall": allowed is ${lists}`],
    [{ listenOn: [] }, `option "listenOn" of serveEndpoint() was []: allowed is ${lists}`],
    [{ registerWithinMs: -1 }, 'option "registerWithinMs" of serveEndpoint() was -1'],
    [{ connectTo: "nowhere" }, '"nowhere" is not an address to dial'],
    [{ elements: misplaced }, "x must stand inside what-is-missing"],
  ])("rejects %o, names what is allowed, and holds nothing", async (wrong, message) => {
    const changes = new Subject<void>();
    const options = {
      name: "nse",
      services: ["firewall"],
      connectTo,
      listenOn: ["tcp://127.0.0.1:0"],
      identity: identityWith(changes),
    };
    const serving = serveEndpoint({ ...options, ...(wrong as object) });
    await expect(serving).rejects.toThrow(message);
    expect(changes.observed).toBe(false);
  });

  test("accepts a registration without a time limit until its signal aborts", async () => {
    const serving = serveEndpoint({
      name: "nse",
      services: ["firewall"],
      connectTo,
      listenOn: ["tcp://127.0.0.1:0"],
      identity: insecureIdentity(),
      registerWithinMs: Infinity,
      signal: AbortSignal.timeout(50),
    });
    await expect(serving).rejects.not.toMatchObject({ code: Code.InvalidArgument });
  });
});
