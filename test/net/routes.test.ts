import { describe, expect, test } from "vitest";
import { IPContext } from "../../src/api/index.js";
import { formatAddress, formatPrefix, routesOf, type Side } from "../../src/net/index.js";

function routes(side: Side, ip: Partial<IPContext>): string[] {
  return routesOf(IPContext.create(ip), side).map(({ destination, via }) =>
    via ? `${formatPrefix(destination)} via ${formatAddress(via)}` : formatPrefix(destination),
  );
}

describe("routesOf", () => {
  test("a host route to the peer and what is behind it, each once", () => {
    const ip = {
      srcIpAddrs: ["172.16.1.101/32"],
      dstIpAddrs: ["172.16.1.100/32"],
      srcRoutes: [
        { prefix: "172.16.1.100/32", nextHop: "" },
        { prefix: "10.1.2.3/8", nextHop: "" },
      ],
      dstRoutes: [{ prefix: "172.16.1.101/32", nextHop: "" }],
    };
    expect(routes("client", ip)).toEqual(["172.16.1.100/32", "10.0.0.0/8 via 172.16.1.100"]);
    expect(routes("endpoint", ip)).toEqual(["172.16.1.101/32"]);
  });

  test("takes the peer's first address of the route's family as gateway", () => {
    const ip = {
      srcIpAddrs: ["10.0.0.2/32", "fd00::2/128"],
      dstIpAddrs: ["10.0.0.1/32", "fd00::1/128"],
      srcRoutes: [
        { prefix: "fd01::/64", nextHop: "" },
        { prefix: "10.9.0.0/16", nextHop: "10.0.0.7" },
      ],
    };
    expect(routes("client", ip)).toEqual([
      "10.0.0.1/32",
      "fd00::1/128",
      "fd01::/64 via fd00::1",
      "10.9.0.0/16 via 10.0.0.7",
    ]);
  });

  test("needs no host route to a peer inside an own network, nor a gateway to what is on the wire", () => {
    const ip = {
      srcIpAddrs: ["10.0.0.2/24"],
      dstIpAddrs: ["10.0.0.1/24"],
      srcRoutes: [{ prefix: "10.0.0.64/26", nextHop: "" }],
    };
    expect(routes("client", ip)).toEqual(["10.0.0.64/26"]);
  });

  test("leaves a route without gateway when the peer has no address of its family", () => {
    expect(routes("client", { srcRoutes: [{ prefix: "10.0.0.0/8", nextHop: "" }] })).toEqual(["10.0.0.0/8"]);
  });

  test("rejects an invalid prefix, with its value", () => {
    expect(() => routes("client", { srcRoutes: [{ prefix: "10.0.0.0/99", nextHop: "" }] })).toThrow(
      '"10.0.0.0/99"',
    );
    expect(() => routes("client", { dstIpAddrs: ["nowhere"] })).toThrow('"nowhere"');
  });
});
