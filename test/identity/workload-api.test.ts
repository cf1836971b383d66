import { beforeAll, describe, expect, test } from "vitest";
import { Code, codeOf, explain, NsmError } from "../../src/core/index.js";
import { authority, workloadApiSource, type Authority, type IssuedSvid } from "../../src/identity/index.js";
import { workloadTarget } from "../../src/identity/workload-address.js";
import { twoAuthorities } from "./support.js";
import { der, followed, responseOf, svidOf } from "./workload-kit.js";

let org: Authority;
let net: Authority;
let nsmgr: IssuedSvid;
let nsc: IssuedSvid;

beforeAll(async () => {
  ({ org, net } = await twoAuthorities());
  nsmgr = await (await org.intermediate()).issue({ path: "/nsmgr" });
  nsc = await org.issue({ path: "/nsc" });
});

const unreachable = new NsmError(Code.Unavailable, "connect ENOENT");
const denied = new NsmError(Code.PermissionDenied, "no identity issued");

describe("the address of a Workload API", () => {
  test.each([
    ["unix:///run/agent.sock", "unix:/run/agent.sock"],
    ["unix:/run/agent.sock", "unix:/run/agent.sock"],
    ["tcp://127.0.0.1:8081", "ipv4:127.0.0.1:8081"],
    ["tcp://[::1]:8081", "ipv6:[::1]:8081"],
  ])("may be %s", (address, target) => {
    expect(workloadTarget(address)).toBe(target);
  });

  test.each([
    "/run/agent.sock",
    "unix:agent.sock",
    "unix://run/agent.sock",
    "unix:///",
    "unix:///run/agent.sock?x=1",
    "unix:///run/agent.sock#x",
    "tcp://localhost:8081",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:8081/",
    "tcp://user@127.0.0.1:8081",
    "tcp://[127.0.0.1]:8081",
    "http://127.0.0.1:8081",
  ])("may not be %s", (address) => {
    expect(() => workloadTarget(address)).toThrow(
      `"${address}" is not the address of a Workload API: expected unix:///path or tcp://ip:port`,
    );
  });

  test("must be given by the caller or by the environment", async () => {
    await expect(workloadApiSource({ socket: "" })).rejects.toThrow("set SPIFFE_ENDPOINT_SOCKET");
  });
});

describe("a response of a Workload API", () => {
  test("becomes an SVID with its intermediates, and the bundles of the own and the federated domains", async () => {
    const { source, respond } = followed();
    await respond(responseOf([svidOf(nsmgr), svidOf(nsc)], { "spiffe://example.net": der(net.ca) }));
    const { svid, bundles } = (await source).current();
    expect(`${svid.id}`).toBe("spiffe://example.org/nsmgr");
    expect(svid.certificates).toHaveLength(2);
    expect([...bundles].map(([domain, { length }]) => [domain, length]).sort()).toEqual([
      ["example.net", 1],
      ["example.org", 1],
    ]);
  });

  test("offers its SVIDs with their hints, and one of another trust domain brings its bundle", async () => {
    const foreign = await net.issue({ path: "/nsc" });
    const { source, respond } = followed({
      pickSvid: (offered) => offered.find(({ hint }) => hint === "outside"),
    });
    await respond(responseOf([svidOf(nsmgr), svidOf(foreign, { hint: "outside" })]));
    const { svid, bundles } = (await source).current();
    expect(`${svid.id}`).toBe("spiffe://example.net/nsc");
    expect([...bundles.keys()].sort()).toEqual(["example.net", "example.org"]);
  });

  test("that is equal to the one before changes nothing", async () => {
    const { source, respond } = followed();
    await respond(responseOf([svidOf(nsmgr)], { "spiffe://example.net": der(net.ca) }));
    const held = await source;
    const before = held.current();
    held.changes.subscribe(() => expect.fail("it changed"));
    await respond(responseOf([svidOf(nsmgr)], { "spiffe://example.net": der(net.ca) }));
    expect(held.current()).toBe(before);
  });

  test("with another bundle keeps the SVID object, and one with another SVID the bundles", async () => {
    const { source, respond } = followed();
    await respond(responseOf([svidOf(nsmgr)], { "spiffe://example.net": der(net.ca) }));
    const held = await source;
    const first = held.current();
    await respond(responseOf([svidOf(nsmgr)]));
    const second = held.current();
    expect(second.svid).toBe(first.svid);
    expect([...second.bundles.keys()]).toEqual(["example.org"]);
    await respond(responseOf([svidOf(nsc)]));
    expect(held.current().svid).not.toBe(second.svid);
    expect(held.current().bundles).toBe(second.bundles);
  });

  test("may name a foreign domain without authorities", async () => {
    const { source, respond } = followed();
    await respond(responseOf([svidOf(nsmgr)], { "spiffe://example.net": Buffer.alloc(0) }));
    expect((await source).current().bundles.get("example.net")).toEqual([]);
  });

  const bad: [string, () => Promise<ReturnType<typeof responseOf>>, string][] = [
    ["without SVIDs", async () => responseOf([]), "the response has no SVID"],
    [
      "with a malformed ID",
      async () => responseOf([svidOf(nsmgr, { spiffeId: "nsmgr" })]),
      "is not a SPIFFE id",
    ],
    [
      "with a certificate of another ID",
      async () => responseOf([svidOf(nsmgr, { spiffeId: `${nsc.id}` })]),
      "its certificate is for another ID: spiffe://example.org/nsmgr",
    ],
    [
      "with a truncated certificate",
      async () => responseOf([svidOf(nsmgr, { x509Svid: der(nsmgr.svid).subarray(0, -1) })]),
      "the SVID of spiffe://example.org/nsmgr is not usable: not a certificate",
    ],
    [
      "without certificate",
      async () => responseOf([svidOf(nsmgr, { x509Svid: Buffer.alloc(0) })]),
      "no certificate: there are no bytes",
    ],
    [
      "with a malformed key",
      async () => responseOf([svidOf(nsmgr, { x509SvidKey: Buffer.from("key") })]),
      "no private key: expected an unencrypted PKCS#8 key in DER",
    ],
    [
      "with the key of another certificate",
      async () => responseOf([svidOf(nsmgr, { x509SvidKey: svidOf(nsc).x509SvidKey })]),
      "the private key does not match",
    ],
    [
      "with an RSA key",
      async () => responseOf([svidOf(await org.issue({ path: "/nsmgr", key: "RSA" }))]),
      "it must be ECDSA P-256, because tokens are signed with ES256",
    ],
    [
      "that has expired",
      async () => responseOf([svidOf(await org.issue({ path: "/nsmgr", lifetimeMs: -5_000 }))]),
      "expired at",
    ],
    [
      "without bundle",
      async () => responseOf([svidOf(nsmgr, { bundle: Buffer.alloc(0) })]),
      'the bundle of "example.org" is not usable',
    ],
    [
      "with the bundle of another authority",
      async () => {
        const { ca } = await authority({ trustDomain: "example.org" });
        return responseOf([svidOf(nsmgr, { bundle: der(ca) })]);
      },
      "does not chain to the bundle",
    ],
    [
      "with a malformed foreign bundle",
      async () => responseOf([svidOf(nsmgr)], { "spiffe://example.net": Buffer.from([1, 2, 3]) }),
      'the bundle of "example.net" is not usable',
    ],
  ];
  test.each(bad)(
    "%s leaves the previous identity in use, and is reported once",
    async (_title, make, why) => {
      const { source, respond, problems, opened } = followed();
      await respond(responseOf([svidOf(nsc)]));
      const before = (await source).current();
      const response = await make();
      await respond(response);
      await respond(response);
      expect((await source).current()).toBe(before);
      expect(problems).toEqual([
        expect.stringContaining("an identity from the Workload API at unix:///agent.sock is not usable: "),
      ]);
      expect(problems[0]).toContain(why);
      expect(problems[0]).not.toContain("-----BEGIN");
      // After a good one, the same problem is a new one.
      await respond(responseOf([svidOf(nsc)]));
      await respond(response);
      expect(problems).toHaveLength(2);
      expect(opened).toBe(1);
    },
  );

  test("from which the program picks none leaves the previous identity in use", async () => {
    const { source, respond, problems } = followed({
      pickSvid: (offered) => offered.find(({ id }) => id.path === "/nsc"),
    });
    await respond(responseOf([svidOf(nsc)]));
    await respond(responseOf([svidOf(nsmgr)]));
    expect(`${(await source).current().svid.id}`).toBe("spiffe://example.org/nsc");
    expect(problems[0]).toContain("none of the offered SVIDs was picked: spiffe://example.org/nsmgr");
  });
});

describe("the wait for the first identity", () => {
  test("goes on while the agent is not reachable, and while it has none for this process", async () => {
    const api = followed();
    for (const error of [unreachable, unreachable, denied, denied]) {
      await api.end(error);
      await api.clock.advance(10_000);
      expect(api.isOpen).toBe(true);
    }
    expect(api.problems).toEqual([
      "the connection to the Workload API at unix:///agent.sock failed: connect ENOENT",
      "the Workload API at unix:///agent.sock has no identity for this process: no identity issued",
    ]);
    await api.respond(responseOf([svidOf(nsmgr)]));
    expect(`${(await api.source).current().svid.id}`).toBe("spiffe://example.org/nsmgr");
  });

  test("goes on after a response that is not usable", async () => {
    const api = followed();
    await api.respond(responseOf([]));
    await api.respond(responseOf([svidOf(nsmgr)]));
    expect((await api.source).current().svid.certificates).toHaveLength(2);
    expect(api.problems).toHaveLength(1);
  });

  test("ends at its time limit with what was tried, and leaves no timer and no stream", async () => {
    const api = followed({ startTimeoutMs: 20_000 });
    while (api.isOpen) {
      await api.end(denied);
      await api.clock.advance(api.opened < 5 ? 8_000 : 20_000);
    }
    const error: unknown = await api.source.catch((caught: unknown) => caught);
    expect(codeOf(error)).toBe(Code.DeadlineExceeded);
    expect(explain(error)).toMatch(
      /^no identity from the Workload API at unix:\/\/\/agent.sock within 20000 ms and \d connections: the Workload API at .* has no identity for this process: no identity issued$/,
    );
    expect(api.clock.timers).toBe(0);
  });

  test.each([Code.InvalidArgument, Code.Unimplemented])("ends at once with code %d", async (code) => {
    const api = followed();
    await api.end(new NsmError(code, "no such thing"));
    await expect(api.source).rejects.toMatchObject({
      code,
      message: "unix:///agent.sock rejects requests of the Workload API",
    });
    expect([api.opened, api.clock.timers]).toEqual([1, 0]);
  });

  test("ends with the program", async () => {
    const life = new AbortController();
    const api = followed({ signal: life.signal });
    const reason = new Error("stop");
    life.abort(reason);
    await expect(api.source).rejects.toBe(reason);
    await api.clock.settle();
    expect([api.isOpen, api.clock.timers]).toEqual([false, 0]);
  });
});

describe("a source whose stream breaks", () => {
  test("opens another one with growing delays of random length, and the identity stays", async () => {
    const api = followed();
    await api.respond(responseOf([svidOf(nsmgr)]));
    const before = (await api.source).current();
    for (const longest of [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
      await api.end(unreachable);
      await api.clock.advance(longest / 2 - 1);
      expect(api.isOpen).toBe(false);
      await api.clock.advance(longest / 2 + 1);
      expect(api.isOpen).toBe(true);
    }
    expect((await api.source).current()).toBe(before);
    expect(api.problems).toEqual([
      "the connection to the Workload API at unix:///agent.sock failed: connect ENOENT",
    ]);

    // A usable response ends the outage: the next one begins with short delays, and is reported.
    await api.respond(responseOf([svidOf(nsmgr)]));
    await api.end(unreachable);
    await api.clock.advance(500);
    expect(api.isOpen).toBe(true);
    expect(api.problems).toHaveLength(2);
  });

  test("keeps its identity when the agent has no more identity for it, or rejects requests", async () => {
    const api = followed();
    await api.respond(responseOf([svidOf(nsmgr)]));
    const held = await api.source;
    const before = held.current();
    for (const error of [denied, new NsmError(Code.InvalidArgument, "no such thing")]) {
      await api.end(error);
      await api.clock.advance(1_000);
      expect(api.isOpen).toBe(true);
    }
    expect(held.current()).toBe(before);
  });

  test("leaves a stream without a response after 30 seconds", async () => {
    const api = followed();
    await api.respond(responseOf([svidOf(nsmgr)]));
    await api.clock.advance(3_600_000);
    expect(api.opened).toBe(1);
    await api.end(unreachable);
    await api.clock.advance(500);
    expect(api.opened).toBe(2);
    await api.clock.advance(31_000);
    expect(api.opened).toBe(3);
    expect(api.problems.at(-1)).toContain("no response within 30000 ms");
  });

  test("leaves no timer and no stream when it is closed, open or waiting", async () => {
    for (const waiting of [false, true]) {
      const api = followed();
      await api.respond(responseOf([svidOf(nsmgr)]));
      const held = await api.source;
      let completed = false;
      held.changes.subscribe({ complete: () => (completed = true) });
      if (waiting) await api.end(unreachable);
      held.close();
      held.close();
      await api.clock.settle();
      expect([api.isOpen, api.clock.timers, completed]).toEqual([false, 0, true]);
    }
  });
});
