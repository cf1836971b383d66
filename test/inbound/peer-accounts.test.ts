import { expect, test } from "vitest";
import { transportConnection } from "../../src/core/transport-connection.js";
import { PeerAccounts } from "../../src/inbound/peer-accounts.js";

function peersOf(...addresses: readonly string[]): readonly string[] {
  const accounts = new PeerAccounts();
  return addresses.map((address) => {
    const connection = transportConnection({ kind: "tcp", address, local: false });
    return accounts.open(connection, "tcp://[::]:5001").peer;
  });
}

test("one host of IPv6 is one peer, whichever of its addresses it calls from", () => {
  expect(peersOf("2001:db8:1:2::1:4000", "2001:db8:1:2:ffff::7:4001", "2001:db8:1:3::1:4000")).toEqual([
    "2001:db8:1:2::/64",
    "2001:db8:1:2::/64",
    "2001:db8:1:3::/64",
  ]);
  expect(peersOf("fe80::1%eth0:4000", "::1:4000")).toEqual(["fe80::/64", "::1"]);
});

test("an IPv4 host is one peer by each of its notations", () => {
  expect(peersOf("10.0.0.1:4000", "::ffff:10.0.0.1:4001", "10.0.0.2:4000", "unknown")).toEqual([
    "10.0.0.1",
    "10.0.0.1",
    "10.0.0.2",
    "unknown",
  ]);
});
