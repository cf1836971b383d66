import { createServer, type AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { Code } from "../../../src/core/index.js";
import { serveMetrics } from "../../../src/programs/runtime/metrics.js";

describe("metrics", () => {
  test("report what each element holds, in the text format of Prometheus", async () => {
    const metrics = await serveMetrics(
      { address: "127.0.0.1", port: 0 },
      {
        debugState: () => ({ "begin/server": { connections: 3 }, connect: { client: { remotes: 1 } } }),
      },
    );
    const text = await (await fetch(`http://127.0.0.1:${metrics.port}/metrics`)).text();
    await metrics.close();
    expect(text).toContain('nsm_held{element="begin/server",kind="connections"} 3');
    expect(text).toContain('nsm_held{element="connect/client",kind="remotes"} 1');
    expect(text).toContain("process_cpu_seconds_total");
  });

  test("report which address is in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    await expect(serveMetrics({ address: "127.0.0.1", port }, {})).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    await new Promise((resolve) => other.close(resolve));
  });
});
