import { describe, expect, test } from "vitest";
import { isAddressTarget, targetOf } from "../../src/wire/target.js";

describe("the target of an address", () => {
  test.each([
    ["tcp://10.0.0.1:5001", "dns:10.0.0.1:5001"],
    ["tcp://[fd00::1]:5001", "dns:[fd00::1]:5001"],
    ["tcp://nsmgr.nsm:5001", "dns:nsmgr.nsm:5001"],
    ["tcp://:5001", "dns:localhost:5001"],
    ["unix:///run/nsm.sock", "unix:/run/nsm.sock"],
    ["unix:/run/nsm.sock", "unix:/run/nsm.sock"],
    ["unix:nsm.sock", "unix:nsm.sock"],
    ["registry:5002", "dns:registry:5002"],
    ["registry.nsm.svc:5002", "dns:registry.nsm.svc:5002"],
    ["dns:///registry:5002", "dns:///registry:5002"],
    ["ipv4:10.0.0.1:5001", "ipv4:10.0.0.1:5001"],
  ])("%s is %s", (url, target) => {
    expect(targetOf(url)).toBe(target);
  });

  test("tests for a bare IP address", () => {
    for (const url of ["tcp://10.0.0.1:1", "tcp://[::1]:1"])
      expect(isAddressTarget(targetOf(url))).toBe(true);
    for (const url of ["tcp://nsmgr:1", "registry:1", "unix:///x", "tcp://10.example.org:1"]) {
      expect(isAddressTarget(targetOf(url))).toBe(false);
    }
  });
});
