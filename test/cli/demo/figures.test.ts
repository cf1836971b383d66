import { Writable } from "node:stream";
import { afterEach, describe, expect, test, vi } from "vitest";
import { diagram } from "../../../src/cli/demo/report/diagram.js";
import { duration, screen } from "../../../src/cli/demo/report/screen.js";
import { table } from "../../../src/cli/demo/report/table.js";

test("a table is as wide as its cells, numbers lean to the right", () => {
  expect(
    table(
      ["rule", "sent"],
      [
        ["ping", 12],
        ["database", 1],
      ],
    ),
  ).toEqual([
    "rule       sent", //
    "────────   ────",
    "ping         12",
    "database      1",
  ]);
});

test("the diagram connects both ends by the vWire, whatever their names", () => {
  const client = { process: "nsc", namespace: "net:[1]", interfaceName: "nsm-1", address: "10.0.0.1/32" };
  const endpoint = { process: "fw-1", namespace: "net:[22]", interfaceName: "fw", address: "10.0.0.0/32" };
  expect(diagram(["nsc", "nsmgr", "fw-1"], client, endpoint)).toEqual([
    "nsc ──▶ nsmgr ──▶ fw-1",
    "",
    "┌────────────────────┐                 ┌─────────────────┐",
    "│ nsc                │                 │ fw-1            │",
    "│ net:[1]            │    veth pair    │ net:[22]        │",
    "│ nsm-1  10.0.0.1/32 ╞═════════════════╡ 10.0.0.0/32  fw │",
    "└────────────────────┘                 └─────────────────┘",
  ]);
});

test("durations use a suitable unit", () => {
  expect([0.04, 1.26, 12.4, 999.4, 1_240].map(duration)).toEqual([
    "0.0 ms",
    "1.3 ms",
    "12 ms",
    "999 ms",
    "1.24 s",
  ]);
});

afterEach(() => void vi.unstubAllEnvs());

describe("the screen", () => {
  function written(isTTY: boolean, show: (shown: ReturnType<typeof screen>) => void): string {
    let text = "";
    const stream = new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    });
    show(screen(Object.assign(stream, { isTTY }) as unknown as NodeJS.WriteStream));
    return text;
  }

  const drawSteps = (shown: ReturnType<typeof screen>): void => {
    shown.heading("First packets");
    shown.began("ICMP gets through");
    shown.ended({ name: "ICMP gets through", ok: true, ms: 2, detail: "4 of 4" });
    shown.figure(["a", "", "b"]);
    shown.heading("The end");
    shown.ended({ name: "connection closed", ok: false, ms: 1_500, detail: "left behind" });
  };

  test("is plain without a terminal, one line per check", () => {
    expect(written(false, drawSteps).split("\n")).toEqual([
      "",
      "First packets",
      "  ✓ ICMP gets through                     2.0 ms   4 of 4",
      "",
      "    a",
      "",
      "    b",
      "",
      "The end",
      "  ✗ connection closed                     1.50 s   left behind",
      "",
    ]);
  });

  test("has no colors when they are disabled", () => {
    vi.stubEnv("NO_COLOR", "1");
    expect(written(true, drawSteps)).not.toContain("\x1b[31m");
  });

  test("shows on a terminal what is going on, in colors, until it is done", () => {
    vi.stubEnv("NO_COLOR", "");
    const text = written(true, drawSteps);
    expect(text).toContain("… ICMP gets through");
    expect(text).toContain("\r\x1b[K  \x1b[32m✓\x1b[39m ICMP gets through");
    expect(text).toContain("\x1b[31mleft behind\x1b[39m");
  });
});
