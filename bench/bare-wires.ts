import { createVeth, netlinkIn, newNamespace, type NetworkNamespace } from "../src/linux/index.js";
import { firstEcho } from "./first-echo.js";

/** Creates the same vWires as a forwarder, but in this process and without any request. */
export class BareWires {
  readonly #clients: NetworkNamespace[] = [];

  private constructor(private readonly endpoint: NetworkNamespace) {}

  static async prepare(): Promise<BareWires> {
    return new BareWires(await namespaceWithLoopback());
  }

  /**
   * Creates interfaces with alias, MTU, address and route at both ends. Returns the time to the first echo,
   * in ms.
   */
  async make(): Promise<number> {
    const client = await namespaceWithLoopback();
    const number = this.#clients.push(client);
    const [from, to] = [addressOf(2 * number), addressOf(2 * number + 1)];

    const began = performance.now();
    const wire = { mtu: 9_000, up: true };
    const pair = await createVeth({
      a: { ...wire, namespace: client, name: "nsm-1", alias: `server-${number}` },
      b: { ...wire, namespace: this.endpoint, name: `bench-${number}`, alias: `client-${number}` },
    });
    for (const [namespace, { index }, own, other] of [
      [client, pair.a, from, to],
      [this.endpoint, pair.b, to, from],
    ] as const) {
      await netlinkIn(namespace).addAddress(index, own);
      await netlinkIn(namespace).replaceRoute({ link: index, destination: `${other}/32`, scope: "link" });
    }
    await firstEcho(client, from, to);
    return performance.now() - began;
  }

  close(): void {
    for (const namespace of [...this.#clients, this.endpoint]) namespace.close();
  }
}

/** A new network namespace with its loopback up. */
export async function namespaceWithLoopback(): Promise<NetworkNamespace> {
  const namespace = newNamespace();
  await netlinkIn(namespace).setLink("lo", { up: true });
  return namespace;
}

const addressOf = (number: number): string => `10.1.${number >> 8}.${number & 255}`;
