import { describe, expect, test } from "vitest";
import { isLocalHost, isLocalUrl, isSameSocket } from "../../src/wire/index.js";

describe("addresses on this machine", () => {
  test.each(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])("the host %s", (host) => {
    expect(isLocalHost(host)).toBe(true);
  });

  test.each([
    "unix:///run/nsm.sock",
    "unix:nsm.sock",
    "tcp://127.0.0.1:1",
    "tcp://[::1]:1",
    "tcp://localhost:1",
    "tcp://:5001",
    "dns:localhost:1",
    "dns:///127.0.0.1:1",
    "ipv6:[::1]:1",
  ])("the address %s", (url) => {
    expect(isLocalUrl(url)).toBe(true);
  });
});

describe("addresses elsewhere, or anywhere", () => {
  test.each([
    "",
    "unknown",
    "10.0.0.1",
    "128.0.0.1",
    "::",
    "0.0.0.0",
    "fd00::1",
    "127.example.org",
    "::ffff:10.0.0.1",
  ])("the host %j", (host) => {
    expect(isLocalHost(host)).toBe(false);
  });

  test.each([
    "tcp://10.0.0.1:1",
    "registry:1",
    "dns:registry:1",
    "tcp://127.example.org:1",
    "tcp://[fd00::1]:1",
    "tcp://localhost.example.org:1",
    "inode://4/4026531840",
    "",
  ])("the address %j", (url) => {
    expect(isLocalUrl(url)).toBe(false);
  });
});

test.each([
  ["unix:///run/nsm.sock", "unix:///run/nsm.sock", true],
  ["unix:///run/nsm.sock", "unix:///run/other.sock", false],
  ["tcp://localhost:5001", "tcp://127.0.0.1:5001", true],
  ["tcp://[::1]:5001", "tcp://:5001", true],
  ["tcp://127.0.0.2:5001", "tcp://0.0.0.0:5001", true],
  ["tcp://:5001", "tcp://[::]:5001", true],
  ["tcp://10.0.0.1:5001", "tcp://10.0.0.1:5001", true],
  ["tcp://127.0.0.2:5001", "tcp://127.0.0.1:5001", false],
  ["tcp://10.0.0.1:5001", "tcp://:5001", false],
  ["tcp://localhost:5001", "tcp://localhost:5002", false],
  ["tcp://localhost:0", "tcp://localhost:0", false],
  ["tcp://localhost:5001", "unix:///run/nsm.sock", false],
])("%s and %s lead to one socket: %s", (one, other, same) => {
  expect([isSameSocket(one, other), isSameSocket(other, one)]).toEqual([same, same]);
});
