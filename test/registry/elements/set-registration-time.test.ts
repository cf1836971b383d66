import { describe, expect, test } from "vitest";
import { fromTimestamp, toTimestamp } from "../../../src/api/index.js";
import { Code } from "../../../src/core/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { setRegistrationTime } from "../../../src/registry/elements/set-registration-time/index.js";
import { describeRegistryElement, failOnce, runRegistry } from "../../../src/testing/index.js";

describeRegistryElement("set-registration-time", () => setRegistrationTime());

const chain = (...rest: Parameters<typeof runRegistry>[0]) =>
  runRegistry([begin(), registrationState(), setRegistrationTime(), ...rest]);

describe("set-registration-time", () => {
  test("keeps the time of the first Register in every refresh, until the Unregister", async () => {
    const { register, unregister, clock, leftovers } = chain();
    const first = clock.now();
    expect(fromTimestamp((await register()).initialRegistrationTime!)).toBe(first);
    await clock.advance(1_000);
    expect(fromTimestamp((await register()).initialRegistrationTime!)).toBe(first);
    const other = { initialRegistrationTime: toTimestamp(clock.now()) };
    expect(fromTimestamp((await register(other)).initialRegistrationTime!)).toBe(first);
    await unregister();
    expect(fromTimestamp((await register()).initialRegistrationTime!)).toBe(first + 1_000);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("keeps the time of the entry in the first Register", async () => {
    const { register, unregister } = chain();
    const long = { initialRegistrationTime: toTimestamp(1_000) };
    expect((await register(long)).initialRegistrationTime).toEqual(toTimestamp(1_000));
    expect((await register()).initialRegistrationTime).toEqual(toTimestamp(1_000));
    await unregister();
  });

  test("does not record a failed first Register", async () => {
    const { register, unregister, clock } = chain(failOnce(Code.Unavailable, "register"));
    await expect(register()).rejects.toThrow();
    await clock.advance(1_000);
    expect(fromTimestamp((await register()).initialRegistrationTime!)).toBe(clock.now());
    await unregister();
  });
});
