import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { Code, NsmError, type DebugState } from "../../core/index.js";

/** The source of the `nsm_held` values. */
interface Observed {
  debugState?(): DebugState;
}

/**
 * Serves `/metrics` for Prometheus: process metrics, and `nsm_held`, the number of resources that each
 * element holds.
 *
 * @throws NsmError UNAVAILABLE if the address is in use
 */
export async function serveMetrics(
  { address, port }: { readonly address: string; readonly port: number },
  observed: Observed,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "nsm_held",
    help: "Resources held by the elements of this process, by element and kind",
    labelNames: ["element", "kind"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [path, value] of flattened(observed.debugState?.() ?? {})) {
        this.set({ element: path.slice(0, -1).join("/"), kind: path.at(-1)! }, value);
      }
    },
  });
  const server = createServer((request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new NsmError(Code.Unavailable, `cannot serve metrics on ${address}:${port}`, { cause })),
    );
    server.listen(port, address || undefined, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function* flattened(state: DebugState, path: readonly string[] = []): Generator<[readonly string[], number]> {
  for (const [name, value] of Object.entries(state)) {
    if (typeof value === "number") yield [[...path, name], value];
    else yield* flattened(value, [...path, name]);
  }
}
