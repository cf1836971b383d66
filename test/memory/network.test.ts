import { expect } from "vitest";
import { memoryNetwork } from "../../src/memory/index.js";
import { virtualClock } from "../../src/testing/index.js";
import { describeRemote } from "../outbound/describe-remote.js";

describeRemote("memory", async () => {
  const clock = virtualClock();
  const network = memoryNetwork({ clock });
  const remotes = network.remotes({ name: "caller" });
  const servers: { close(): void }[] = [];
  return {
    clock,
    remotes,
    nowhere: "tcp://nowhere:1",
    async listen(served, logger) {
      const server = network.listen(`tcp://server-${servers.length}:5001`, served, logger ? { logger } : {});
      servers.push(server);
      return { ...server, kill: async () => server.close() };
    },
    pass: (ms) => clock.advance(ms),
    async close() {
      remotes.close();
      for (const server of servers) server.close();
      await clock.settle();
      expect(network.debugState()).toEqual({ listeners: 0, calls: 0, faults: 0 });
      expect(clock.timers).toBe(0);
    },
  };
});
