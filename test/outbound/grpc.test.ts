import { expect } from "vitest";
import { systemClock } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcLinks } from "../../src/outbound/index.js";
import { describeLink } from "./describe-link.js";

describeLink("gRPC on TCP", async () => {
  const identity = insecureIdentity();
  const links = grpcLinks({ identity });
  const servers: Server[] = [];
  return {
    clock: systemClock,
    links,
    nowhere: "tcp://127.0.0.1:1",
    async listen(services, logger) {
      const server = await grpcServer({
        identity,
        listenOn: ["tcp://127.0.0.1:0"],
        services,
        graceMs: 0,
        ...(logger && { logger }),
      });
      servers.push(server);
      return { url: server.listenOn[0]!, setServing: server.setServing, kill: () => server.close() };
    },
    pass: async () => {},
    async close() {
      links.close();
      await Promise.all(servers.map((server) => server.close()));
      for (const server of servers) expect(server.debugState()).toEqual({});
      expect(links.debugState()).toEqual({});
      identity.close();
    },
  };
});
