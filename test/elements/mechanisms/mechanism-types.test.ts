import { expect, test } from "vitest";
import { kernelServer } from "../../../src/elements/mechanisms/kernel/index.js";
import { mechanismsServer, type MechanismElements } from "../../../src/elements/mechanisms/index.js";

declare module "../../../src/elements/mechanisms/index.js" {
  interface MechanismChains {
    readonly MYTUNNEL?: MechanismElements;
  }
}

test("known types of mechanism, and those that were declared, compile", () => {
  expect(mechanismsServer({ KERNEL: [kernelServer()], VXLAN: [], MYTUNNEL: [] }).name).toBe(
    "mechanisms/server",
  );
});

test("an unknown type of mechanism does not compile", () => {
  // @ts-expect-error the type is misspelled
  expect(mechanismsServer({ KERNAL: [kernelServer()] }).name).toBe("mechanisms/server");
});
