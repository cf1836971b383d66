import { describe, expect, test } from "vitest";
import { Mechanism } from "nsm-sdk/api";
import { parseServiceUrl } from "nsm-sdk/net";

describe("parseServiceUrl", () => {
  test("reads mechanism, service, domain, interface and labels", () => {
    expect(parseServiceUrl("kernel://firewall@cluster.two/nsm-1?app=web&app=db&color=red")).toEqual({
      networkService: "firewall@cluster.two",
      mechanism: Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { name: "nsm-1" } }),
      labels: { app: "web,db", color: "red" },
    });
  });

  test("needs no more than mechanism and service, and keeps the service's case", () => {
    expect(parseServiceUrl("memif://My-Service")).toEqual({
      networkService: "My-Service",
      mechanism: Mechanism.create({ cls: "LOCAL", type: "MEMIF" }),
      labels: {},
    });
  });

  test.each([
    ["firewall", "is no URL"],
    ["kernel:///nsm-1", "names no network service"],
    ["kernel://firewall:80/nsm-1", "has a port"],
    ["kernel://firewall/a-name-of-more-than-15", '"a-name-of-more-than-15", which is longer than 15'],
    ["kernel://firewall/%zz", "broken escape"],
  ])("refuses %s", (text, why) => {
    expect(() => parseServiceUrl(text)).toThrow(`"${text}" `);
    expect(() => parseServiceUrl(text)).toThrow(why);
  });
});
