import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import type { TraceHook } from "../../src/core/index.js";
import { clientInfo } from "../../src/elements/client-info/index.js";
import { connectionLog } from "../../src/elements/connection-log/index.js";
import { kernelClient } from "../../src/elements/mechanisms/kernel/index.js";
import { mesh } from "../../src/testing/index.js";

const src = fileURLToPath(new URL("../../src", import.meta.url));
const page = readFileSync(join(src, "../docs/architecture.md"), "utf8");
const { passed } = vi.hoisted(() => ({ passed: [] as string[] }));

// The trace hook of every chain in a mesh.
vi.mock("../../src/testing/frozen.js", () => {
  const freezing: TraceHook = ({ element, method, ctx, proceed }) => {
    if (method === "request") passed.push(element);
    return proceed(ctx);
  };
  return { freezing };
});

const section = (title: string): string => page.split(`\n## ${title}\n`)[1]!.split("\n## ")[0]!;
const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);

describe("docs/architecture.md", () => {
  test("walks a Request through the elements in the order in which it passes them", async () => {
    const { client, endpoint, stop } = await mesh({ transport: "memory" });
    await endpoint({ name: "nse-1", service: "my-service" });
    const inodeUrl = "file:///proc/self/ns/net";
    await client({ elements: [connectionLog(), clientInfo(), kernelClient({ inodeUrl })] }).request(
      "my-service",
    );
    await stop();

    const written = [...section("One Request through the files").matchAll(/^\| (`[^|]+`) \|/gm)]
      .flatMap(([, names]) => quoted(names!))
      // The forwarder of a mesh joins nothing, and offers the mechanism with another element.
      .filter((name) => name !== "cross-connect")
      .map((name) => (name === "mechanisms/offer" ? "mechanisms/kernel/client" : name));
    expect(written).toEqual(passed);
  });

  test("names files that are there", () => {
    const prose = page.replace(/^```[^]*?^```$/gm, "");
    const named = quoted(prose).filter((name) => name.endsWith(".ts") && !name.includes("<"));
    const folders = ["", "elements/cross-connect"];
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((name) => !folders.some((folder) => existsSync(join(src, folder, name))))).toEqual(
      [],
    );
  });

  test("has a row for every folder of the sources", () => {
    const rows = [...section("Layers").matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, names]) => quoted(names!));
    const folders = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(rows.sort()).toEqual(folders.map(({ name }) => name).sort());
  });
});
