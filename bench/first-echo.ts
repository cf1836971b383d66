import { ping, type NetworkNamespace } from "../src/linux/index.js";

/** Sends one echo request and waits for its reply. */
export async function firstEcho(namespace: NetworkNamespace, from: string, to: string): Promise<void> {
  const { received, unreachable } = await ping({ namespace, from, to, count: 1, timeoutMs: 5_000 });
  if (received !== 1) throw new Error(`${to} did not answer ${from}: ${unreachable ?? "no echo"}`);
}
