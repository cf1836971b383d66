import { expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";

// A file of its own: vitest gives each one fresh globals.
test("the Reflect polyfill and the library for making certificates are loaded by who makes some only", async () => {
  expect("getMetadata" in Reflect).toBe(false);
  await authority({ trustDomain: "example.org" });
  expect("getMetadata" in Reflect).toBe(true);
});
