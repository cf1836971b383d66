import { readlinkSync } from "node:fs";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { expect, test } from "vitest";
import { startProcess } from "../../../src/programs/child/process.js";

test("a started process stands in the namespace it was given, while its starter stays at home", () =>
  withNamespaces(1, async ([lab]) => {
    const home = readlinkSync("/proc/thread-self/ns/net");
    const script = `console.log(JSON.stringify({ event: require("node:fs").readlinkSync("/proc/self/ns/net") }))`;
    const child = await startProcess({ command: process.execPath, args: ["-e", script], namespace: lab });
    expect(child.events.all).toEqual([{ event: lab.name }]);
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(home);
    await child.exited;
  }));
