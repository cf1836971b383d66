import { createVeth, netlinkIn, newNamespace } from "../../../src/linux/index.js";
import {
  leftovers,
  openDescriptors,
  testNamespace,
  withNamespaces,
} from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";

describe("test namespaces", () => {
  test("are separate, with loopback up, closed afterwards", async () => {
    const before = openDescriptors();
    const inodes = await withNamespaces(3, async (namespaces) => {
      for (const namespace of namespaces)
        expect(await netlinkIn(namespace).link("lo")).toMatchObject({ up: true });
      return namespaces.map(({ inode }) => inode);
    });
    expect(new Set(inodes).size).toBe(3);
    expect(openDescriptors()).toEqual(before);
  });

  test("are closed when the work fails, whose error comes through", async () => {
    const before = openDescriptors();
    await expect(withNamespaces(2, () => Promise.reject(new Error("the work")))).rejects.toThrow("the work");
    expect(openDescriptors()).toEqual(before);
  });

  test("find the descriptor that the work left open", async () => {
    const leaked: { close(): void }[] = [];
    const work = withNamespaces(1, async () => {
      leaked.push(newNamespace());
    });
    await expect(work).rejects.toThrow(/left behind: descriptor \d+ -> net:\[/);
    for (const one of leaked) one.close();
  });

  test("find the link that was left in a namespace", async () => {
    const [home, far] = [await testNamespace(), await testNamespace()];
    const remaining = await leftovers(home);
    await createVeth({ a: { namespace: far, name: "far" }, b: { namespace: home, name: "near" } });
    expect(await remaining()).toEqual([expect.stringMatching(/^link near \(\d+\)$/)]);
    await netlinkIn(far).deleteLink("far");
    expect(await remaining()).toEqual([]);
    far.close();
    home.close();
  });
});
