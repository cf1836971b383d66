import { Code } from "../../../src/core/index.js";
import {
  createVeth,
  netlinkIn,
  type NetworkNamespace,
  newNamespace,
  openNamespace,
} from "../../../src/linux/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { runChild } from "./child.js";

const names = async (namespace: NetworkNamespace) =>
  (await netlinkIn(namespace).links()).map(({ name }) => name);

describe("veth pairs", () => {
  test("are created in both namespaces, with the requested properties", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const pair = await createVeth({
        a: {
          namespace: client,
          name: "nsm-1",
          alias: "server-1",
          mtu: 9000,
          up: true,
          mac: "02:00:00:00:00:01",
        },
        b: { namespace: endpoint, name: "fw-1", alias: "client-1", mtu: 8000, up: true, group: 7 },
      });
      expect(pair.a).toMatchObject({
        name: "nsm-1",
        kind: "veth",
        alias: "server-1",
        mtu: 9000,
        mac: "02:00:00:00:00:01",
        up: true,
        carrier: true,
        peerIndex: pair.b.index,
        peerElsewhere: true,
      });
      expect(pair.b).toMatchObject({
        name: "fw-1",
        alias: "client-1",
        mtu: 8000,
        group: 7,
        peerIndex: pair.a.index,
      });
      expect(await names(client)).toEqual(["lo", "nsm-1"]);
    }));

  test("may have both ends in one namespace", () =>
    withNamespaces(1, async ([lab]) => {
      const { a, b } = await createVeth({
        a: { namespace: lab, name: "left" },
        b: { namespace: lab, name: "right" },
      });
      expect([a.peerIndex, b.peerIndex]).toEqual([b.index, a.index]);
      expect(a).toMatchObject({ up: false, carrier: false, peerElsewhere: false, alias: undefined });
    }));

  test("vanish together when one end is deleted", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      await createVeth({ a: { namespace: client, name: "nsm-1" }, b: { namespace: endpoint, name: "fw-1" } });
      await netlinkIn(endpoint).deleteLink("fw-1");
      await expect(netlinkIn(client).link("nsm-1")).rejects.toMatchObject({ code: Code.NotFound });
    }));

  test("are not made when the other end's name is taken, and leave no first end", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const make = (name: string) =>
        createVeth({ a: { namespace: client, name }, b: { namespace: endpoint, name: "fw-1" } });
      await make("nsm-1");
      await expect(make("nsm-2")).rejects.toMatchObject({ code: Code.AlreadyExists });
      expect(await names(client)).toEqual(["lo", "nsm-1"]);
    }));

  test("leave nothing when a later step of making them fails", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const made = createVeth({
        a: { namespace: client, name: "nsm-1" },
        b: { namespace: endpoint, name: "fw-1", alias: "x".repeat(256) },
      });
      await expect(made).rejects.toMatchObject({ code: Code.InvalidArgument });
      expect(await names(client)).toEqual(["lo"]);
    }));
});

describe("veth pairs and namespaces that go", () => {
  test("are not made for a namespace that was closed here before", () =>
    withNamespaces(1, async ([near]) => {
      const gone = newNamespace();
      gone.close();
      const ends = [
        { namespace: near, name: "near" },
        { namespace: gone, name: "gone" },
      ] as const;
      for (const [a, b] of [ends, [ends[1], ends[0]]] as const) {
        await expect(createVeth({ a, b })).rejects.toMatchObject({ code: Code.FailedPrecondition });
      }
      expect(await names(near)).toEqual(["lo"]);
    }));

  test("are removed again when either namespace is already closed while they are made", () =>
    withNamespaces(2, async (namespaces) => {
      for (const closing of [0, 1]) {
        const [a, b] = namespaces.map(({ path }) => openNamespace(path)) as [
          NetworkNamespace,
          NetworkNamespace,
        ];
        const made = createVeth({
          a: { namespace: a, name: "nsm-1", alias: "first" },
          b: { namespace: b, name: "fw-1", alias: "second" },
        });
        [a, b][closing]!.close();
        await expect(made).rejects.toMatchObject({ code: Code.FailedPrecondition });
        [a, b][1 - closing]!.close();
        for (const namespace of namespaces) expect(await names(namespace)).toEqual(["lo"]);
      }
    }));
});

describe("links", () => {
  test("are found by name, by index and by alias, and keep their index when renamed", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const made = await netlink.createLink({ kind: "bridge", name: "br0", alias: "connection 7 / ünï" });
      expect(await netlink.linkByAlias("connection 7 / ünï")).toEqual(made);
      await netlink.setLink("br0", { name: "br1" });
      expect(await netlink.link(made.index)).toEqual({ ...made, name: "br1" });
      expect((await netlink.link("br1")).index).toBe(made.index);
      expect(await netlink.linkByAlias("connection 8")).toBeUndefined();
    }));

  test("change only in what was asked", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const { a } = await createVeth({
        a: { namespace: lab, name: "a", alias: "first" },
        b: { namespace: lab, name: "b", up: true },
      });
      await netlink.setLink("a", {
        up: true,
        mtu: 1400,
        mac: "02:00:00:00:00:09",
        group: 3,
        alias: "second",
      });
      expect(await netlink.link("a")).toEqual({
        ...a,
        ...{ up: true, carrier: true, mtu: 1400, mac: "02:00:00:00:00:09", group: 3, alias: "second" },
      });
      await netlink.setLink("a", { up: false });
      expect(await netlink.link("a")).toMatchObject({
        up: false,
        carrier: false,
        mtu: 1400,
        alias: "second",
      });
      await netlink.setLink("a", { alias: "" });
      expect((await netlink.link("a")).alias).toBeUndefined();
    }));

  test("become ports of a bridge and leave it", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const bridge = await netlink.createLink({ kind: "bridge", name: "br0", up: true });
      await createVeth({ a: { namespace: lab, name: "a" }, b: { namespace: lab, name: "b" } });
      await netlink.setLink("a", { master: bridge.index });
      expect((await netlink.link("a")).master).toBe(bridge.index);
      await netlink.setLink("a", { master: 0 });
      expect((await netlink.link("a")).master).toBeUndefined();
    }));

  test("are refused with the kernel's reason and the right code, and nothing is made", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const refusals: [() => Promise<unknown>, Code, RegExp][] = [
        [() => netlink.createLink({ kind: "bridge", name: "lo" }), Code.AlreadyExists, /lo.*EEXIST/],
        [
          () => netlink.createLink({ kind: "no-such-kind", name: "x" }),
          Code.Unimplemented,
          /no no-such-kind links/,
        ],
        [
          () => netlink.createLink({ kind: "bridge", name: "sixteen-bytes-ab" }),
          Code.InvalidArgument,
          /1 to 15 bytes/,
        ],
        [() => netlink.createLink({ kind: "bridge", name: "" }), Code.InvalidArgument, /1 to 15/],
        [
          () => netlink.createLink({ kind: "bridge", name: "x", alias: "a".repeat(256) }),
          Code.InvalidArgument,
          /256/,
        ],
        [() => netlink.createLink({ kind: "bridge", name: "x", mtu: 70_000 }), Code.InvalidArgument, /mtu/i],
        [() => netlink.link("nsm-1"), Code.NotFound, /nsm-1.*ENODEV/],
        [() => netlink.link(4711), Code.NotFound, /4711/],
        [() => netlink.setLink("nsm-1", { up: true }), Code.NotFound, /nsm-1/],
        [() => netlink.setLink("lo", { mac: "02:00" }), Code.InvalidArgument, /MAC/],
        [() => netlink.deleteLink("nsm-1"), Code.NotFound, /nsm-1/],
        [() => netlink.deleteLink(4711), Code.NotFound, /4711/],
        [() => netlink.deleteLink("lo"), Code.Unimplemented, /delete link/],
        [() => netlink.linkStatistics("nsm-1"), Code.NotFound, /nsm-1/],
      ];
      for (const [refused, code, message] of refusals) {
        await expect(refused()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
      }
      expect(await names(lab)).toEqual(["lo"]);
    }));

  test("cannot be created without the privilege, and the error names it", () =>
    withNamespaces(1, async ([lab]) => {
      const prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
      const { status, stdout, stderr } = await runChild("without-privilege", { prefix, inherit: lab.fd });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const deniedWithout = (capability: string) =>
        expect.stringMatching(new RegExp(`^PermissionDenied: cannot .* lacks ${capability}.*unshare -Urn`));
      expect(JSON.parse(stdout)).toEqual({
        links: "lo",
        newNamespace: deniedWithout("CAP_SYS_ADMIN"),
        open: expect.stringMatching(/^PermissionDenied: cannot open .*\/proc\/1\/ns\/net.*CAP_SYS_PTRACE/),
        enter: deniedWithout("CAP_SYS_ADMIN"),
        createVeth: deniedWithout("CAP_NET_ADMIN"),
        setLink: deniedWithout("CAP_NET_ADMIN"),
      });
    }));
});

describe("deleting links", () => {
  test("happens off the event loop, which goes on meanwhile", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const { a, b } = await createVeth({
        a: { namespace: lab, name: "a" },
        b: { namespace: lab, name: "b" },
      });
      const turns: string[] = [];
      const deleted = netlink.deleteLink(a.index).then(() => turns.push("deleted"));
      // A promise of work done in place would be settled before the loop comes round once.
      await new Promise((resolve) => setImmediate(resolve));
      turns.push("a turn of the loop");
      await deleted;
      expect(turns).toEqual(["a turn of the loop", "deleted"]);
      await expect(netlink.link(b.index)).rejects.toMatchObject({ code: Code.NotFound });
    }));

  test("does not keep other requests to the same namespace waiting, nor take their answers", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      await createVeth({ a: { namespace: lab, name: "a" }, b: { namespace: lab, name: "b" } });
      let done = false;
      const deleted = netlink.deleteLink("a").finally(() => (done = true));
      let answered = 0;
      while (!done) {
        expect((await netlink.link("lo")).name).toBe("lo");
        await new Promise((resolve) => setImmediate(resolve));
        answered++;
      }
      await deleted;
      expect(answered).toBeGreaterThan(1);
    }));

  test("in numbers removes each, and answers each, together or not", () =>
    withNamespaces(2, async ([hub, spokes]) => {
      const netlink = netlinkIn(hub);
      for (let i = 0; i < 20; i++) {
        await createVeth({
          a: { namespace: hub, name: `hub${i}` },
          b: { namespace: spokes, name: `spoke${i}` },
        });
      }
      const kept = await netlink.createLink({ kind: "bridge", name: "kept" });
      const indexes = (await netlink.links()).filter(({ kind }) => kind === "veth").map(({ index }) => index);
      const results = await Promise.allSettled(
        [...indexes, 4711, 1].map((index) => netlink.deleteLink(index)),
      );
      expect(results.slice(0, 20).map(({ status }) => status)).toEqual(Array(20).fill("fulfilled"));
      expect(results.slice(20)).toMatchObject([
        { reason: { code: Code.NotFound } },
        { reason: { code: Code.Unimplemented } }, // loopback; its refusal keeps none of the others
      ]);
      expect(await names(hub)).toEqual(["lo", "kept"]);
      expect(await names(spokes)).toEqual(["lo"]);
      expect(await netlink.link("kept")).toEqual(kept);
    }));

  test("finishes although the namespace is already closed meanwhile, and leaves no descriptor", () =>
    withNamespaces(1, async ([far]) => {
      const near = newNamespace();
      await createVeth({ a: { namespace: near, name: "a" }, b: { namespace: far, name: "b" } });
      const deleted = netlinkIn(near).deleteLink("a");
      await new Promise((resolve) => setImmediate(resolve)); // on its way now
      near.close();
      await deleted;
      expect(await names(far)).toEqual(["lo"]);
    }));

  test("finds the link gone when its namespace has gone", () =>
    withNamespaces(1, async ([far]) => {
      const near = newNamespace();
      const { b } = await createVeth({ a: { namespace: near, name: "a" }, b: { namespace: far, name: "b" } });
      near.close(); // nothing else holds it: the kernel takes it apart, and with it both ends
      await expect.poll(() => names(far)).toEqual(["lo"]);
      await expect(netlinkIn(far).deleteLink(b.index)).rejects.toMatchObject({ code: Code.NotFound });
    }));
});
