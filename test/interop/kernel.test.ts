import { afterAll, beforeAll, describe, expect, test, type ExpectStatic } from "vitest";
import type { Connection } from "../../src/api/index.js";
import { ping } from "../../src/linux/index.js";
import type { ProcessEvent, RunningProcess } from "../../src/programs/child/process.js";
import { leftovers } from "../../src/testing/netns/index.js";
import { GoFailures } from "./go-failures.js";
import { interfaces, KernelMesh, type Guest } from "./kernel-mesh.js";
import { connectionOf, connectionsOf, type Maker, type Security } from "./peers.js";

const meshes: readonly (readonly [Maker, Security["kind"]])[] = [
  ["go", "insecure"],
  ["go", "mutual TLS"],
  ["ours", "insecure"],
  ["ours", "mutual TLS"],
];

/**
 * A client that refreshes within seconds. The first Request has less time than the half of that, because a Go manager
 * closes a connection as long before its expiry.
 */
const shortLife = ["--max-token-lifetime", "10s", "--request-timeout", "4s"];

interface Ends {
  readonly nsc: Maker;
  readonly nse: Maker;
}

const ends: readonly Ends[] = [
  { nsc: "go", nse: "go" },
  { nsc: "go", nse: "ours" },
  { nsc: "ours", nse: "go" },
  { nsc: "ours", nse: "ours" },
];

/** An event of a client that is connected to this endpoint. */
const isAt = (endpoint: string) => (event: ProcessEvent) =>
  ["established", "updated"].includes(event.event) &&
  connectionOf(event).networkServiceEndpointName === endpoint;

const expiryOf = (connection: Connection) => connection.path!.pathSegments[0]!.expires!.seconds;

/** Waits until the manager has answered a Request with a later token. */
async function refreshed(monitor: RunningProcess, connection: Connection): Promise<void> {
  await monitor.events.next(
    (event) =>
      event.event === "UPDATE" &&
      connectionsOf(event).some(
        (one) => one.path!.pathSegments[0]!.id === connection.id && expiryOf(one) > expiryOf(connection),
      ),
  );
}

describe.each(meshes)("our kernel forwarder, manager: %s, %s", (nsmgr, security) => {
  const failures = new GoFailures();
  let mesh: KernelMesh;
  let remaining: () => Promise<readonly string[]>;

  beforeAll(async () => {
    remaining = await leftovers();
    mesh = await KernelMesh.start(nsmgr, security);
  });
  afterAll(async () => {
    if (!mesh) return;
    failures.read(mesh.log);
    console.log(`manager: ${nsmgr}, ${security}, ${failures.report()}`);
    await mesh.stop();
    expect(await remaining()).toEqual([]);
  });

  /** Runs a test with guests, once more after a known fault of Go, and ends the guests. */
  const withGuests = (
    body: (add: (start: Promise<Guest>) => Promise<Guest>, failed: number) => Promise<void>,
  ) =>
    failures.tolerate(async (failed) => {
      const guests: Guest[] = [];
      const add = async (start: Promise<Guest>): Promise<Guest> => {
        const guest = await start;
        guests.push(guest);
        return guest;
      };
      try {
        await body(add, failed);
      } finally {
        for (const guest of guests) {
          await guest.kill("SIGKILL");
          failures.read(guest.stderr);
          guest.namespace.close();
        }
      }
    });

  /** Both ends have an interface with the addresses of the answer, packets pass, and the node has got nothing. */
  async function expectJoined(expect: ExpectStatic, { context }: Connection, client: Guest, endpoint: Guest) {
    const { srcIpAddrs, dstIpAddrs } = context!.ipContext!;
    expect(await interfaces(client.namespace)).toMatchObject([{ name: "nsm-1", addresses: srcIpAddrs }]);
    expect(await interfaces(endpoint.namespace)).toMatchObject([{ addresses: dstIpAddrs }]);
    expect(await interfaces(mesh.node)).toEqual([]);
    const to = dstIpAddrs[0]!.split("/")[0]!;
    expect(await ping({ namespace: client.namespace, to, count: 2 })).toMatchObject({ received: 2 });
  }

  test.concurrent.for(ends)(
    "joins the namespaces of a client ($nsc) and an endpoint ($nse) until the client ends",
    ({ nsc, nse }, { expect }) =>
      withGuests(async (add, failed) => {
        const service = `${nsc}-${nse}-${failed}`;
        const endpoint = (number: number) =>
          add(
            mesh.nse(nse, `${service}-${number}`, ["--service", service, "--cidr", `172.16.${number}.0/24`]),
          );
        const monitor = await mesh.monitor();
        try {
          const first = await endpoint(1);
          const request = ["--request", `kernel://${service}/nsm-1`, ...shortLife];
          const client = await add(mesh.nsc(nsc, `${service}-client`, request));
          const connection = connectionOf(await client.events.next(isAt(`${service}-1`)));
          await expectJoined(expect, connection, client, first);

          const before = await interfaces(client.namespace);
          await refreshed(monitor, connection);
          expect(await interfaces(client.namespace)).toEqual(before);

          const second = await endpoint(2);
          // The namespace ends with its process, as that of a container does.
          first.namespace.close();
          await first.kill("SIGKILL");
          const healed = connectionOf(await client.events.next(isAt(`${service}-2`)));
          await expectJoined(expect, healed, client, second);

          expect(await client.stop()).toEqual({ code: 0, signal: null });
          expect(await interfaces(client.namespace)).toEqual([]);
          expect(await interfaces(second.namespace)).toEqual([]);
          expect(await interfaces(mesh.node)).toEqual([]);
        } finally {
          await monitor.kill("SIGKILL");
        }
      }),
  );

  // A Go manager opens the path itself.
  if (nsmgr === "go") return;
  test("takes the namespaces that Go peers live in when they name them by path", ({ expect }) =>
    withGuests(async (add, failed) => {
      const service = `paths-${failed}`;
      const offer = ["--service", service, "--cidr", "172.16.3.0/24", "--keep-path"];
      const endpoint = await add(mesh.nse("go", `${service}-1`, offer));
      const request = ["--request", `kernel://${service}/nsm-1`, "--keep-path"];
      const client = await add(mesh.nsc("go", `${service}-client`, request));
      const connection = connectionOf(await client.events.next("established"));
      await expectJoined(expect, connection, client, endpoint);
      expect(await client.stop()).toEqual({ code: 0, signal: null });
      expect(await interfaces(endpoint.namespace)).toEqual([]);
    }));
});
