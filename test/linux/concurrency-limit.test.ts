import { expect, test } from "vitest";
import { concurrencyLimit } from "../../src/linux/netlink/concurrency-limit.js";

test("never more than its share runs at once, the rest in the order it came", async () => {
  const share = concurrencyLimit(2);
  const ends: (() => void)[] = [];
  const started: number[] = [];
  const works = [0, 1, 2, 3].map((i) =>
    share(() => {
      started.push(i);
      return new Promise<void>((end) => ends.push(end));
    }),
  );
  expect(started).toEqual([0, 1]);
  ends[0]!();
  await works[0];
  expect(started).toEqual([0, 1, 2]);
  ends[1]!();
  await works[1];
  expect(started).toEqual([0, 1, 2, 3]);
  for (const end of ends) end();
  await Promise.all(works);
});

test("failed work gives its place back", async () => {
  const share = concurrencyLimit(1);
  await expect(share(() => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  await expect(share(() => Promise.resolve(7))).resolves.toBe(7);
});
