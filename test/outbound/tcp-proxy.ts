import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** Stands between a client and a server, and can fail as networks do. */
export interface TcpProxy {
  readonly url: string;
  /** How many connections there were. */
  readonly accepted: number;
  /** Nothing passes any more on the connections that are there; they stay open. */
  silence(): void;
  /** Resolves when no connection is left. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Passes connections on to a port of this machine. */
export async function tcpProxy(port: number): Promise<TcpProxy> {
  const pairs: { here: Socket; there: Socket }[] = [];
  const listener = createServer((here) => {
    const there = connect(port, "127.0.0.1");
    pairs.push({ here, there });
    for (const [from, to] of [
      [here, there],
      [there, here],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get accepted() {
      return pairs.length;
    },
    silence() {
      for (const { here, there } of pairs) {
        here.unpipe(there);
        there.unpipe(here);
        here.resume();
        there.resume();
      }
    },
    async empty() {
      while (pairs.some(({ here }) => !here.destroyed)) await new Promise((resolve) => setImmediate(resolve));
    },
    async close() {
      for (const { here, there } of pairs) {
        here.destroy();
        there.destroy();
      }
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
