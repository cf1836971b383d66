import { describe, expect, test } from "vitest";
import { publicUrl } from "../../src/wire/public-url.js";

describe("the public URL", () => {
  test.each([
    ["is the first TCP one", ["unix:///a.sock", "tcp://10.0.0.1:5001"], [], "tcp://10.0.0.1:5001"],
    ["is the first one without any TCP", ["unix:///a.sock", "unix:///b.sock"], [], "unix:///a.sock"],
    [
      "gets the machine's IPv4 address",
      ["tcp://0.0.0.0:5001"],
      ["127.0.0.1", "10.1.2.3"],
      "tcp://10.1.2.3:5001",
    ],
    ["prefers IPv4 to IPv6", ["tcp://:5001"], ["2001:db8::1", "10.1.2.3"], "tcp://10.1.2.3:5001"],
    ["takes a unique local address", ["tcp://[::]:5001"], ["127.0.0.1", "fd00::1"], "tcp://[fd00::1]:5001"],
    ["never takes a remote-local address", ["tcp://:5001"], ["127.0.0.1", "fe80::1"], "tcp://:5001"],
    ["keeps a host that was given", ["tcp://nsmgr:5001"], ["10.1.2.3"], "tcp://nsmgr:5001"],
  ])("%s", (_title, listenOn, addresses, expected) => {
    expect(publicUrl(listenOn, addresses)).toBe(expected);
  });
});
