import { virtualClock } from "../../../src/testing/index.js";
import { FakeKernel } from "../support/fake-kernel.js";
import { forwarder as realForwarder, type ForwarderOptions } from "../support/forwarder.js";

export const CLIENT = "/proc/100/ns/net";
export const ENDPOINT = "/proc/200/ns/net";
export const ID = "8c5d6c2e-6b0a-4a43-9a0d-3f0f4f5f0001";

/** A forwarder with its own kernel, or with a kernel that others have used. */
export function forwarder({
  kernel = new FakeKernel(CLIENT, ENDPOINT),
  ...options
}: Partial<Omit<ForwarderOptions, "kernel">> & { kernel?: FakeKernel } = {}) {
  const clock = options.clock ?? virtualClock();
  return {
    ...realForwarder({ client: CLIENT, endpoint: ENDPOINT, ...options, clock, kernel }),
    kernel,
    clock,
  };
}
