import { Code } from "nsm-sdk/core";
import { createVeth, netlinkIn } from "nsm-sdk/linux";
import { leftovers, withNamespaces } from "nsm-sdk/testing/netns";
import { describe, expect, test } from "vitest";

describe("veth pairs", () => {
  test("are made straight into both namespaces, as they were asked for", () =>
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
      expect((await netlinkIn(client).links()).map(({ name }) => name)).toEqual(["lo", "nsm-1"]);
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
      expect((await netlinkIn(client).links()).map(({ name }) => name)).toEqual(["lo", "nsm-1"]);
    }));

  test("leave nothing when a later step of making them fails", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const made = createVeth({
        a: { namespace: client, name: "nsm-1" },
        b: { namespace: endpoint, name: "fw-1", alias: "x".repeat(256) },
      });
      await expect(made).rejects.toMatchObject({ code: Code.InvalidArgument });
      expect((await netlinkIn(client).links()).map(({ name }) => name)).toEqual(["lo"]);
    }));
});
