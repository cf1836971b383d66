import { describe, expect, test } from "vitest";
import {
  Code,
  Context,
  logger,
  NsmError,
  silent,
  type Elements,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { expire } from "../../../src/registry/elements/expire/index.js";
import { registerLog, registrationLog } from "../../../src/registry/elements/registration-log/index.js";
import {
  describeRegistryElement,
  runRegistry,
  virtualClock,
  type RunOptions,
} from "../../../src/testing/index.js";

describeRegistryElement("registration-log", () => registrationLog(), {
  before: [begin(), registrationState()],
});
describeRegistryElement("registration-log/registers", () => registerLog());

function registry(...behind: Parameters<typeof runRegistry>[0]) {
  const lines: object[] = [];
  const info = (fields: object, message: string) => void lines.push({ message, ...fields });
  const clock = virtualClock();
  const options: RunOptions<EndpointRegistry> = {
    clock,
    ctx: Context.background({ clock }).with(logger, { ...silent, info }),
  };
  const begun: Elements<EndpointRegistry> = [registerLog(), begin(), registrationState(), registrationLog()];
  return { ...runRegistry([...begun, expire(), ...behind], options), lines };
}

const url = "tcp://127.0.0.1:5001";

describe("the log of registrations", () => {
  test("has one line when an endpoint registers, moves and unregisters", async () => {
    const { register, unregister, lines } = registry();
    await register();
    await register();
    const moved = await register({ url: "tcp://127.0.0.1:5002" });
    await unregister(moved);
    expect(lines).toEqual([
      { message: "registered", endpoint: "nse", services: ["icmp"], url },
      { message: "moved", endpoint: "nse", services: ["icmp"], url: "tcp://127.0.0.1:5002" },
      { message: "unregistered", endpoint: "nse", url: "tcp://127.0.0.1:5002" },
    ]);
  });

  test("distinguishes an expired endpoint from an unregistered one", async () => {
    const { register, clock, lines } = registry();
    await register();
    await clock.advance(3_600_000);
    expect(lines.slice(1)).toEqual([{ message: "registration expired", endpoint: "nse", url }]);
  });

  test("shows which registration was denied and why", async () => {
    const { register, lines } = registry({
      name: "guard",
      register: () => Promise.reject(new NsmError(Code.PermissionDenied, "not for you")),
    });
    for (let i = 0; i < 2; i++) await expect(register()).rejects.toThrow("not for you");
    expect(lines).toMatchObject([
      { message: "registration denied", entry: "nse", code: "PermissionDenied", reason: "not for you" },
    ]);
  });
});
