import { afterEach, describe, expect, test } from "vitest";
import { defaultContainer, Tokens } from "../../../src/programs/index.js";
import { nseProgram } from "../../../src/programs/nse.js";
import { mesh, recorder, type Mesh } from "../../../src/testing/index.js";

let running: Mesh | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

describe("the container of a program", () => {
  test("lets a user put elements of their own into a ready program", async () => {
    const life = new AbortController();
    running = await mesh({ transport: "grpc" });
    const { nsmgr, client } = running;
    const config = {
      name: "nse",
      insecure: true,
      logLevel: "error",
      maxTokenLifetime: 600_000,
      connectTo: nsmgr.url,
      listenOn: [nsmgr.url.replace("nsmgr.sock", "own.sock")],
      service: ["my-service"],
      labels: {},
      cidr: [["10.9.0.0/24"]] as string[][],
      payload: "IP",
      registerService: true,
      controlPlaneOnly: true,
    } as const;
    const seen = recorder();
    const app = await defaultContainer(config, life.signal);
    app.registerInstance(Tokens.extraElements, [seen]);
    const nse = await nseProgram.start(app, config);

    const nsc = client();
    const connection = await nsc.request("my-service");
    expect(connection).toMatchObject({ payload: "IP", networkServiceEndpointName: "nse" });
    expect(seen.requests).toHaveLength(1);
    await nsc.close(connection);
    expect(seen.closes).toHaveLength(1);

    await nse.stop();
    // The service itself stays registered: others may provide it.
    expect(Object.keys(nse.debugState())).toEqual(["networkServices"]);
    life.abort();
    app.resolve(Tokens.remotes).close();
  });

  test("keeps every default that is not overridden, and shares one instance of each", async () => {
    const config = { name: "p", insecure: true, logLevel: "error", maxTokenLifetime: 1_000 } as const;
    const app = await defaultContainer(config, new AbortController().signal);
    expect(app.resolve(Tokens.remotes)).toBe(app.resolve(Tokens.remotes));
    app.resolve(Tokens.remotes).close();
  });
});
