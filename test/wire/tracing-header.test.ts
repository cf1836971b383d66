import { afterEach, describe, expect, test } from "vitest";
import { Connection, NetworkServiceRequest } from "../../src/api/index.js";
import { Context, type Context as CallContext, type NetworkService } from "../../src/core/index.js";
import { grpcTracing, type GrpcTracing } from "../../src/wire/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer } from "../../src/inbound/index.js";
import { grpcRemotes } from "../../src/outbound/index.js";
import { memoryNetwork } from "../../src/memory/index.js";
import { virtualClock } from "../../src/testing/index.js";

const request = NetworkServiceRequest.create({ connection: Connection.create({ id: "c1" }) });
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A process calls a second one, which calls a third: what the two listen on, and what the third saw. */
const transports = {
  async gRPC(services: (next: (url: string) => NetworkService) => NetworkService[]) {
    const identity = insecureIdentity();
    const remotes = grpcRemotes({ identity });
    ends.push(() => remotes.close());
    let url = "";
    for (const networkService of services((to) => remotes.to(to).networkService)) {
      const server = await grpcServer({
        identity,
        listenOn: ["tcp://127.0.0.1:0"],
        services: { networkService },
      });
      ends.push(() => server.close());
      [url] = server.listenOn as [string];
      urls.push(url);
    }
    return { service: remotes.to(url).networkService, ctx: Context.background() };
  },
  async memory(services: (next: (url: string) => NetworkService) => NetworkService[]) {
    const clock = virtualClock();
    const network = memoryNetwork({ clock });
    const remotes = network.remotes({ name: "caller" });
    let url = "";
    for (const [i, networkService] of services((to) => remotes.to(to).networkService).entries()) {
      url = `tcp://server-${i}:1`;
      const server = network.listen(url, { networkService });
      ends.push(() => server.close());
      urls.push(url);
    }
    return { service: remotes.to(url).networkService, ctx: Context.background({ clock }) };
  },
};
let urls: string[] = [];

describe.each(Object.entries(transports))("the tracing header over %s", (_name, transport) => {
  test("travels from hop to hop, and is omitted without a request", async () => {
    urls = [];
    const seen: (GrpcTracing | undefined)[] = [];
    const last: NetworkService = {
      request: async (c, { connection }) => {
        seen.push(c.get(grpcTracing));
        return connection!;
      },
      close: async () => {},
    };
    const { service, ctx } = await transport((next) => [
      last,
      {
        request: (c: CallContext, received) => next(urls[0]!).request(c, received),
        close: async () => {},
      },
    ]);
    for (const tracing of [undefined, 0, 1, 2] as const)
      await service.request(ctx.with(grpcTracing, tracing), request);
    expect(seen).toEqual([undefined, 0, 1, 2]);
  });
});
