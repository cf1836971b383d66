import { describe, expect, test } from "vitest";
import { SerialQueue } from "../../src/core/serial-queue.js";
import { virtualClock } from "../../src/testing/index.js";
import { sleep } from "../../src/core/index.js";

describe("a serial queue", () => {
  test("runs one job at a time, in the given order, whatever its duration", async () => {
    const clock = virtualClock();
    const queue = new SerialQueue();
    let running = 0;
    const order: number[] = [];
    const jobs = [30, 0, 10, 20].map((ms, i) =>
      queue.run(async () => {
        expect(running++).toBe(0);
        await sleep(clock, ms);
        order.push(i);
        running--;
        return i;
      }),
    );
    await clock.advance(100);
    expect(await Promise.all(jobs)).toEqual([0, 1, 2, 3]);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  test("continues after a failed job, and rejects that job's promise", async () => {
    const queue = new SerialQueue();
    const failed = queue.run(() => Promise.reject(new Error("no")));
    const thrown = queue.run(() => {
      throw new Error("at once");
    });
    const fine = queue.run(async () => "fine");
    await expect(failed).rejects.toThrow("no");
    await expect(thrown).rejects.toThrow("at once");
    expect(await fine).toBe("fine");
  });

  test("is idle when no job is running or waiting", async () => {
    const queue = new SerialQueue();
    expect(queue.idle).toBe(true);
    const jobs = [queue.run(async () => {}), queue.run(async () => {})];
    expect(queue.idle).toBe(false);
    await jobs[0];
    expect(queue.idle).toBe(false);
    await jobs[1];
    expect(queue.idle).toBe(true);
  });
});
