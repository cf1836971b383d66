import { describe, expect, test } from "vitest";
import { Code } from "../../../src/core/index.js";
import { createVeth, namespaceById, namespaceId, netlinkIn, newNamespace } from "../../../src/linux/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";

describe("the id of a network namespace", () => {
  test("stays the same, and differs from that of another", () =>
    withNamespaces(2, async ([one, other]) => {
      const id = await namespaceId(one);
      expect(id).toBeGreaterThanOrEqual(0);
      expect(await namespaceId(one)).toBe(id);
      expect(await namespaceId(other)).not.toBe(id);
    }));

  test("reaches its links by name and index, and removes them, without a descriptor of it", () =>
    withNamespaces(2, async ([one, other]) => {
      const { a } = await createVeth({
        a: { namespace: one, name: "nsm-1" },
        b: { namespace: other, name: "fw-1" },
      });
      const reached = namespaceById(await namespaceId(one));
      expect(await reached.link("nsm-1")).toEqual(await netlinkIn(one).link("nsm-1"));
      expect((await reached.link(a.index)).name).toBe("nsm-1");
      await expect(reached.link("nsm-2")).rejects.toMatchObject({ code: Code.NotFound });
      await reached.deleteLink(a.index);
      reached.close();
      expect((await netlinkIn(other).links()).map(({ name }) => name)).toEqual(["lo"]);
    }));

  test("does not keep the namespace alive, and then leads nowhere", () =>
    withNamespaces(1, async ([other]) => {
      const ending = newNamespace();
      const id = await namespaceId(ending);
      await createVeth({
        a: { namespace: ending, name: "nsm-1" },
        b: { namespace: other, name: "fw-1" },
      });
      const reached = namespaceById(id);
      ending.close();
      await expect.poll(async () => (await netlinkIn(other).links()).length).toBe(1);
      await expect(reached.link("nsm-1")).rejects.toMatchObject({ code: Code.NotFound });
      reached.close();
    }));
});
