import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { State, type Connection } from "../../src/api/index.js";
import type { ProcessEvent, RunningProcess } from "../../src/programs/child/process.js";
import { connectionOf, connectionsOf, decodeToken, type Security } from "./peers.js";
import { shortLife, Stack, type Makers } from "./stack.js";

const segments = (connection: Connection) => connection.path?.pathSegments ?? [];
const ids = (connection: Connection) => segments(connection).map(({ id }) => id);
const names = (connection: Connection) => segments(connection).map(({ name }) => name);
const addresses = (connection: Connection) => ({
  src: connection.context?.ipContext?.srcIpAddrs,
  dst: connection.context?.ipContext?.dstIpAddrs,
});

/** A connection that is up again or renewed; which of the two names a client gives it is its own choice. */
const isUp = ({ event }: ProcessEvent) => event === "established" || event === "updated";
const isUpAt = (endpoint: string) => (event: ProcessEvent) =>
  isUp(event) && connectionOf(event).networkServiceEndpointName === endpoint;

/**
 * What every mixture of components must do, seen from outside: by what the client prints and by what a Go
 * peer sees at the endpoint and in the registries.
 */
export function describeStack(title: string, makers: Makers, security: Security["kind"]): void {
  describe(`${title}, ${security}`, () => {
    let stack: Stack;
    let count = 0;
    beforeAll(async () => {
      stack = await Stack.start(makers, security);
    });
    afterEach(() => stack.dismissGuests());
    afterAll(async () => {
      // The hook also runs when the stack could not be started.
      if (stack) expect(await stack.stop()).toEqual({ registry: 0, nsmgr: 0, forwarder: 0 });
    });

    /** A service of one test only, so that the next test does not find what this one leaves behind. */
    const newService = () => `svc-${++count}`;

    async function connected(service: string, args: readonly string[] = []) {
      const nse = await stack.nse("nse-1", service, ["172.16.1.0/24"]);
      const seen = await stack.monitor(nse);
      const nsc = await stack.nsc(service, args);
      const connection = connectionOf(await nsc.events.next("established"));
      return { nse, nsc, seen, connection };
    }

    /** The connection that the endpoint's monitor reports, once it is as wanted. */
    async function atEndpoint(seen: RunningProcess, id: string, isWanted: (one: Connection) => boolean) {
      const event = await seen.events.next(
        (one) => one.event !== "DELETE" && connectionsOf(one).some((c) => c.id === id && isWanted(c)),
      );
      return connectionsOf(event).find((one) => one.id === id)!;
    }

    const deleted = (seen: RunningProcess, id: string) =>
      seen.events.next((one) => one.event === "DELETE" && connectionsOf(one).some((c) => c.id === id));

    test("connects a client to an endpoint over a path of four hops", async () => {
      const service = newService();
      const nse = await stack.nse("nse-1", service, ["172.16.1.0/24", "2001:db8::/116"]);
      const nsc = await stack.nsc(service);
      const connection = connectionOf(await nsc.events.next("established"));

      expect(connection).toMatchObject({
        networkService: service,
        networkServiceEndpointName: `nse-1.${service}`,
        payload: "ETHERNET",
        state: State.UP,
        mechanism: { cls: "LOCAL", type: "KERNEL", parameters: { name: "nsm-1" } },
        context: {
          ipContext: {
            srcIpAddrs: ["172.16.1.1/32", "2001:db8::1/128"],
            dstIpAddrs: ["172.16.1.0/32", "2001:db8::/128"],
            srcRoutes: [{ prefix: "172.16.1.0/32" }, { prefix: "2001:db8::/128" }],
            dstRoutes: [{ prefix: "172.16.1.1/32" }, { prefix: "2001:db8::1/128" }],
          },
        },
      });
      expect(names(connection)).toEqual([`nsc.${service}`, "nsmgr", "forwarder", `nse-1.${service}`]);
      expect(connection.path?.index).toBe(0);
      expect(connection.id).toBe(ids(connection)[0]);
      expect(new Set(ids(connection)).size).toBe(4);
      expect(ids(connection)).not.toContain("");

      const seen = await stack.monitor(nse);
      const last = ids(connection)[3]!;
      const there = await atEndpoint(seen, last, () => true);
      expect(there.path?.index).toBe(3);
      expect(ids(there)).toEqual(ids(connection));
      expect(addresses(there)).toEqual(addresses(connection));
    });

    test("carries a token of every hop, each made for the next one", async () => {
      const { connection, seen } = await connected(newService());
      // A client may keep tokens out of what it prints; the endpoint's monitor has them all.
      const there = await atEndpoint(seen, ids(connection)[3]!, () => true);
      const tokens = segments(there).map(({ token }) => decodeToken(token));
      const now = Date.now() / 1000;
      for (const [i, { exp }] of tokens.entries()) {
        expect(exp).toBeGreaterThan(now);
        expect(exp).toBeLessThan(now + 605);
        expect(Math.abs(segments(there)[i]!.expires!.seconds - exp)).toBeLessThan(2);
      }
      if (security === "insecure") return;
      const subjects = ["nsc", "nsmgr", "forwarder", "nse-1"].map((role) => stack.security.id(role));
      expect(tokens.map(({ alg }) => alg)).toEqual(["ES256", "ES256", "ES256", "ES256"]);
      expect(tokens.map(({ sub }) => sub)).toEqual(subjects);
      expect(tokens.slice(0, 3).map(({ aud }) => aud)).toEqual(subjects.slice(1).map((id) => [id]));
    });

    test("refreshes before a token expires, with the same ids and addresses", async () => {
      const { connection, seen } = await connected(newService(), shortLife);
      const expiry = segments(connection)[0]!.expires!.seconds;
      const refreshed = await atEndpoint(
        seen,
        ids(connection)[3]!,
        (one) => segments(one)[0]!.expires!.seconds > expiry,
      );
      expect(Date.now() / 1000).toBeLessThan(expiry);
      expect(ids(refreshed)).toEqual(ids(connection));
      expect(addresses(refreshed)).toEqual(addresses(connection));
    });

    test("moves to another endpoint when the one in use is killed", async () => {
      const service = newService();
      const { nse, nsc, connection } = await connected(service);
      const other = await stack.nse("nse-2", service, ["172.16.2.0/24"]);
      await nse.kill("SIGKILL");

      const moved = connectionOf(await nsc.events.next(isUpAt(`nse-2.${service}`)));
      expect(names(moved)).toEqual([`nsc.${service}`, "nsmgr", "forwarder", `nse-2.${service}`]);
      expect(ids(moved).slice(0, 3)).toEqual(ids(connection).slice(0, 3));
      expect(ids(moved)[3]).not.toBe(ids(connection)[3]);
      expect(addresses(moved).src).toContain("172.16.2.1/32");

      const seen = await stack.monitor(other);
      expect(ids(await atEndpoint(seen, ids(moved)[3]!, () => true))).toEqual(ids(moved));
    });

    test("survives a manager that is killed and comes back with nothing in memory", async () => {
      const { nsc, seen, connection } = await connected(newService());
      nsc.events.skip();
      await stack.replaceManager();

      const healed = connectionOf(await nsc.events.next(isUp));
      expect(names(healed)).toEqual(names(connection));
      expect(healed.id).toBe(connection.id);

      await expect(nsc.stop()).resolves.toEqual({ code: 0, signal: null });
      await deleted(seen, ids(healed)[3]!);
    });

    test("closes the connection at the endpoint when the client ends", async () => {
      const { nsc, seen, connection } = await connected(newService());
      const closed = nsc.events.next("closed");
      await expect(nsc.stop()).resolves.toEqual({ code: 0, signal: null });
      expect(connectionOf(await closed).id).toBe(connection.id);
      await deleted(seen, ids(connection)[3]!);
    });

    test("closes at the endpoint what a killed client left, when its token expires", async () => {
      const { nsc, seen, connection } = await connected(newService(), shortLife);
      const expiry = segments(connection)[0]!.expires!.seconds;
      await nsc.kill("SIGKILL");
      await deleted(seen, ids(connection)[3]!);
      expect(Date.now() / 1000).toBeLessThan(expiry + 15);
    });

    test("registers the manager's address, and returns the endpoint's to the manager's clients", async () => {
      const service = newService();
      const nse = await stack.nse("nse-1", service, ["172.16.1.0/24"]);
      const name = `nse-1.${service}`;
      await expect(stack.find("nsmgr", service)).resolves.toEqual({ [name]: nse.listenOn[0] });
      await expect(stack.find("registry", service)).resolves.toEqual({ [name]: stack.url("nsmgr") });

      await expect(nse.stop()).resolves.toEqual({ code: 0, signal: null });
      await expect(stack.find("nsmgr", service)).resolves.toEqual({});
      await expect(stack.find("registry", service)).resolves.toEqual({});
    });
  });
}
