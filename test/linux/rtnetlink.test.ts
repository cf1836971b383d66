import { Code } from "../../src/core/index.js";
import { assertLinkName } from "../../src/linux/rtnetlink/link-name.js";
import { describe, expect, test } from "vitest";
import { attributes } from "../../src/linux/netlink/attributes.js";
import { decodeRoute, encodeRoute } from "../../src/linux/rtnetlink/routes.js";
import { decodeRule, encodeRule, type Rule } from "../../src/linux/rtnetlink/rules.js";

const invalid = expect.objectContaining({ code: Code.InvalidArgument });
const message = ({ header, attributes: list }: { header: Buffer; attributes: Buffer[] }) => ({
  type: 0,
  flags: 0,
  sequence: 0,
  data: Buffer.concat([header, ...list]),
});

describe("interface names", () => {
  test.each(["nsm-1", "a", "exactly15bytes.", "ünï"])("%j is allowed", (name) => {
    expect(assertLinkName(name)).toBe(name);
  });

  test.each(["", "sixteen-bytes-ab", "a/b", "a b", "a\tb", "a:b", ".", "..", "veth%d", "a\0", "ünïünïünïü"])(
    "%j is refused, naming what is allowed",
    (name) => {
      expect(() => assertLinkName(name)).toThrow(invalid);
      expect(() => assertLinkName(name)).toThrow(/15/);
    },
  );
});

describe("routes", () => {
  test("without a gateway have link scope, and with one are universal and on-link", () => {
    const direct = decodeRoute(message(encodeRoute({ destination: "172.16.1.100", link: 5 }, 5)));
    expect(direct).toMatchObject({
      destination: "172.16.1.100/32",
      scope: "link",
      onlink: false,
      table: 254,
    });
    const via = decodeRoute(
      message(encodeRoute({ destination: "0.0.0.0/0", link: 5, gateway: "10.0.0.1" }, 5)),
    );
    expect(via).toMatchObject({
      destination: "0.0.0.0/0",
      gateway: "10.0.0.1",
      scope: "universe",
      onlink: true,
    });
  });

  test("keep a table above 255, lose the bits after the prefix", () => {
    const route = { destination: "2001:db8::1/32", link: 5, table: 70_000, metric: 9, source: "2001:db8::2" };
    expect(decodeRoute(message(encodeRoute(route, 5)))).toMatchObject({
      destination: "2001:db8::/32",
      family: 6,
      table: 70_000,
      metric: 9,
      source: "2001:db8::2",
      linkIndex: 5,
    });
  });

  test("with a gateway of the other IP version are refused", () => {
    expect(() => encodeRoute({ destination: "::/0", link: 5, gateway: "10.0.0.1" }, 5)).toThrow(invalid);
  });

  test("deletions match any protocol, and any scope unless one is given", () => {
    const { header } = encodeRoute({ destination: "10.0.0.0/8", link: 5 }, 5, true);
    expect([header[5], header[6]]).toEqual([0, 255]);
  });
});

describe("rules", () => {
  test("are unchanged by a round trip", () => {
    const rule: Rule = {
      family: 4,
      from: "172.16.2.0/24",
      to: "10.0.0.0/8",
      incoming: "nsm-1",
      protocol: 6,
      sourcePorts: { first: 1, last: 2 },
      destinationPorts: { first: 6666, last: 6666 },
      table: 1000,
      priority: 12,
    };
    expect(decodeRule(message(encodeRule(rule)))).toEqual(rule);
  });

  test("leave out what matches everything", () => {
    const { header, attributes: list } = encodeRule({ from: "::/0", table: 3 });
    expect([header[0], header[2]]).toEqual([10, 0]);
    expect([...attributes(Buffer.concat(list)).keys()]).toEqual([15]);
  });

  test.each<Rule>([
    { from: "10.0.0.0/8", to: "::/0", table: 1 },
    { family: 6, from: "10.0.0.0/8", table: 1 },
    { table: 0 },
    { table: 1, destinationPorts: { first: 9, last: 8 } },
    { table: 1, protocol: 256 },
    { table: 1, incoming: "sixteen-bytes-ab" },
  ])("%j is refused", (rule) => {
    expect(() => encodeRule(rule)).toThrow(invalid);
  });
});
