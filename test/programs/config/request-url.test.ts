import { describe, expect, test } from "vitest";
import { Code, codeOf, explain } from "../../../src/core/index.js";
import { requestUrl, requestUrls } from "../../../src/programs/config/request-url.js";

describe("a requested service", () => {
  test("is mechanism, service, interface and labels in one URL", () => {
    expect(requestUrl("kernel://my-service/nsm-1?app=web&zone=a")).toMatchObject({
      networkService: "my-service",
      labels: { app: "web", zone: "a" },
      mechanism: { cls: "LOCAL", type: "KERNEL", parameters: { name: "nsm-1" } },
    });
  });

  test("may lie in another domain", () => {
    expect(requestUrl("kernel://my-service@cluster.two/nsm-1").networkService).toBe("my-service@cluster.two");
  });

  test("leaves the interface's name to others when it gives none", () => {
    expect(requestUrl("kernel://my-service").mechanism.parameters).toEqual({});
  });

  test("joins the values of a label that occurs several times", () => {
    expect(requestUrl("kernel://s/i?a=1&a=2").labels).toEqual({ a: "1,2" });
  });

  test("needs an interface of its own", () => {
    expect(() => requestUrls(["kernel://s/nsm-1", "kernel://t/nsm-1"])).toThrow(/"nsm-1"/);
    expect(() => requestUrls(["kernel://t/nsm-1"], requestUrls(["kernel://s/nsm-1"]))).toThrow(/"nsm-1"/);
    expect(requestUrls(["kernel://s/a", "kernel://s/b", "kernel://s", "kernel://t"])).toHaveLength(4);
  });

  test.each([
    ["my-service", /is not a URL/],
    ["kernel:///nsm-1", /has no service/],
    ["vxlan://s/i", /requests the mechanism VXLAN/],
    [
      "kernel://s/a-name-that-is-too-long",
      /has no valid interface name.*invalid interface name "a-name-that-is-too-long": allowed are 1 to 15 bytes/,
    ],
    ["kernel://s/%zz", /invalid escape "%zz"/],
    ["kernel://s/a/b", /has the path "a\/b": expected one interface name/],
    ["kernel://s/b a d", /has no valid interface name/],
  ])("rejects %s with the reason", (text, why) => {
    let error: unknown;
    try {
      requestUrl(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(explain(error)).toMatch(why);
    expect(codeOf(error)).toBe(Code.InvalidArgument);
    expect((error as Error).message).toContain(text);
  });
});
