import { closeSync, mkdtempSync, openSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, explain } from "../../../src/core/index.js";
import {
  connectIn,
  currentNamespace,
  netlinkIn,
  newNamespace,
  openNamespace,
  readSysctl,
  tcpListen,
  writeSysctl,
} from "../../../src/linux/index.js";
import { openDescriptors, withNamespaces } from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { runChild } from "./child.js";

const here = () => readlinkSync("/proc/thread-self/ns/net");

describe("opening a namespace", () => {
  test("takes a path, a file URL and a descriptor that only names it, and gives the same namespace", () =>
    withNamespaces(1, async ([lab]) => {
      const named = openSync(lab.path, 0o10000000 /* O_PATH, as Go peers send them */);
      const opened = [
        lab.path,
        `file://${lab.path}`,
        new URL(`file://${lab.path}`),
        `/proc/self/fd/${named}`,
      ].map(openNamespace);
      closeSync(named);
      for (const namespace of opened) {
        expect([namespace.device, namespace.inode]).toEqual([lab.device, lab.inode]);
        expect(namespace.run(here)).toBe(lab.name);
        namespace.close();
      }
    }));

  test("lets children and connections begin inside, as its example shows", () =>
    withNamespaces(1, async ([lab]) => {
      await netlinkIn(lab).setLink("lo", { up: true });
      const web = await tcpListen({ namespace: lab, host: "127.0.0.1", port: 0 });
      const namespace = openNamespace(lab.path);
      const { stdout } = namespace.run(() =>
        spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }),
      );
      expect(stdout.trim()).toBe(lab.name);
      const socket = await connectIn({ namespace, host: "127.0.0.1", port: web.port });
      expect(web.accepted).toBe(1);
      socket.destroy();
      namespace.close();
      await web.close();
    }));

  test("finds that of another process", async () => {
    const child = newNamespace();
    const sleeper = child.run(() => spawn("sleep", ["60"]));
    try {
      const found = openNamespace(`/proc/${sleeper.pid}/ns/net`);
      expect(found.inode).toBe(child.inode);
      found.close();
    } finally {
      sleeper.kill("SIGKILL");
      await once(sleeper, "close");
      child.close();
    }
  });

  test.each([
    ["/proc/self/ns/mnt", Code.InvalidArgument, /not a network namespace/],
    ["/dev/null", Code.InvalidArgument, /\/dev\/null is not a network namespace/],
    ["/tmp", Code.InvalidArgument, /\/tmp is not a network namespace/],
    ["/var/run/netns/no-such", Code.NotFound, /no-such.*ENOENT/],
    ["/proc/4194305/ns/net", Code.NotFound, /4194305/],
    ["relative/path", Code.InvalidArgument, /relative\/path/],
    ["inode://4/4026532233", Code.InvalidArgument, /inode:/],
    ["file://host/share", Code.InvalidArgument, /host/],
    ["", Code.InvalidArgument, /expected an absolute path/],
  ])("refuses %j", (path, code, sentence) => {
    const before = openDescriptors();
    expect(() => openNamespace(path)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(sentence) }),
    );
    expect(openDescriptors()).toEqual(before);
  });

  test("reports once why there is none", () => {
    let refused: unknown;
    try {
      openNamespace("/proc/4194305/ns/net");
    } catch (error) {
      refused = error;
    }
    expect(explain(refused)).toBe(
      "cannot open the network namespace /proc/4194305/ns/net: no such file or directory (ENOENT)",
    );
  });

  test("rejects a FIFO without waiting for a writer, and a file that looks like one", () => {
    const directory = mkdtempSync(join(tmpdir(), "nsm-"));
    try {
      const [fifo, file] = [join(directory, "fifo"), join(directory, "net")];
      spawnSync("mkfifo", [fifo]);
      writeFileSync(file, "net:[4026532233]");
      for (const path of [fifo, file]) {
        expect(() => openNamespace(path)).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a namespace", () => {
  test("is entered only while the function runs, also when it throws", () =>
    withNamespaces(2, async ([a, b]) => {
      const home = here();
      expect(a.run(() => [here(), b.run(here), here()])).toEqual([a.name, b.name, a.name]);
      expect(() =>
        a.run(() => {
          throw new Error("inside");
        }),
      ).toThrow("inside");
      expect(here()).toBe(home);
    }));

  test("refuses a function that would go on after the thread has left", () =>
    withNamespaces(1, async ([lab]) => {
      const home = here();
      expect(() => lab.run(() => Promise.resolve())).toThrow(
        expect.objectContaining({ code: Code.InvalidArgument }),
      );
      expect(here()).toBe(home);
    }));

  test("gives its descriptors back once, however often it is closed", async () => {
    const before = openDescriptors();
    const lab = newNamespace();
    await netlinkIn(lab).links();
    lab.close();
    lab.close();
    expect(openDescriptors()).toEqual(before);
    expect(() => lab.fd).toThrow(expect.objectContaining({ code: Code.FailedPrecondition }));
    expect(() => lab.run(here)).toThrow(/closed/);
    expect(() => netlinkIn(lab)).toThrow(/closed/);
  });

  test("that was closed refuses what its netlink is asked later", async () => {
    const lab = newNamespace();
    const netlink = netlinkIn(lab);
    lab.close();
    await expect(netlink.links()).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await expect(netlink.deleteLink(1)).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  test("lives on after the process that made it", async () => {
    const made = newNamespace();
    const holder = made.run(() => spawn("sleep", ["60"]));
    made.close();
    const held = openNamespace(`/proc/${holder.pid}/ns/net`);
    holder.kill("SIGKILL");
    await once(holder, "close");
    await expect(netlinkIn(held).link("lo")).resolves.toMatchObject({ name: "lo" });
    held.close();
  });

  test("that the thread stands in needs no entering", () => {
    const home = currentNamespace();
    expect(home.run(here)).toBe(home.name);
    home.close();
  });

  test("ends the process when it cannot be left again", async () => {
    const { status, stdout, stderr } = await runChild("unable-to-return");
    expect({ status, stdout }).toEqual({ status: 70, stdout: "" });
    expect(stderr).toMatch(/cannot return from a network namespace: .*EBADF/);
  });
});

describe("network settings", () => {
  test("are those of the namespace, not of the host", () =>
    withNamespaces(1, async ([lab]) => {
      const home = currentNamespace();
      const before = readSysctl(home, "ipv4/ip_forward");
      const other = before === "1" ? "0" : "1";
      writeSysctl(lab, "ipv4/ip_forward", other);
      expect(readSysctl(lab, "ipv4/ip_forward")).toBe(other);
      expect(readSysctl(home, "ipv4/ip_forward")).toBe(before);
      home.close();
    }));

  test.each([
    ["ipv4/no_such_setting", "1", Code.NotFound],
    ["ipv4/ip_forward", "sideways", Code.InvalidArgument],
    ["../kernel/hostname", "x", Code.InvalidArgument],
    ["ipv4", "x", Code.InvalidArgument],
  ])("%s = %s is refused, naming it", (setting, value, code) =>
    withNamespaces(1, async ([lab]) => {
      expect(() => writeSysctl(lab, setting, value)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(setting) }),
      );
    }),
  );
});
