import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { Code } from "../../../src/core/index.js";
import { startProcess, type RunningProcess } from "../../../src/programs/child/process.js";

const running: RunningProcess[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.kill("SIGKILL")));
});

/** A node process with this script, in which `say` prints a line of JSON. */
async function node(script: string, readyTimeoutMs?: number): Promise<RunningProcess> {
  const printHelper = "const say = (value) => console.log(JSON.stringify(value)); ";
  const started = await startProcess({
    command: process.execPath,
    args: ["-e", printHelper + script],
    name: "child",
    env: { GREETING: "hello" },
    ...(readyTimeoutMs === undefined ? {} : { readyTimeoutMs }),
  });
  running.push(started);
  return started;
}

const stay = "setInterval(() => {}, 1000); ";
const ready = "say({ ready: true, listenOn: ['tcp://127.0.0.1:1'] }); ";

/** Field 5 of proc(5)'s stat, behind the name in parentheses. */
function processGroupOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[2]);
}

describe("a started process", () => {
  test("is returned with its addresses once it is ready", async () => {
    const child = await node(ready + stay);
    expect(child).toMatchObject({ name: "child", listenOn: ["tcp://127.0.0.1:1"] });
    expect(child.pid).toBeGreaterThan(1);
  });

  test("is ready with its first event when it serves nothing", async () => {
    const child = await node("say({ event: process.env.GREETING }); " + stay);
    expect(child.listenOn).toEqual([]);
    await expect(child.events.next("hello")).resolves.toEqual({ event: "hello" });
  });

  test("fails with its stderr when it ends before it is ready", async () => {
    await expect(node("console.error('no such flag'); process.exit(3)")).rejects.toMatchObject({
      code: Code.Unavailable,
      message: "child (stderr: no such flag) ended with code 3 before it was ready",
    });
  });

  test("is killed when it stays silent", async () => {
    await expect(node("console.log('a line for people'); " + stay, 300)).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
      message: expect.stringMatching(
        /^child printed no ready line within 300 ms, in which it used \d+ ms of processor time$/,
      ) as string,
    });
  });

  test("is known by its pid before it is ready, and may have a process group of its own", async () => {
    const script = "const say = (value) => console.log(JSON.stringify(value)); " + ready + stay;
    let pid = 0;
    const starting = startProcess({
      command: process.execPath,
      args: ["-e", script],
      ownGroup: true,
      onStart: (started) => (pid = started),
    });
    expect(pid).toBeGreaterThan(1);
    const child = await starting;
    running.push(child);
    expect(child.pid).toBe(pid);
    expect(processGroupOf(pid)).toBe(pid);
    expect(processGroupOf((await node(ready + stay)).pid)).toBe(processGroupOf(process.pid));
  });

  test("names the program that cannot be started", async () => {
    await expect(startProcess({ command: "/no/such/program" })).rejects.toMatchObject({
      code: Code.Unavailable,
      message: "/no/such/program cannot be started",
    });
  });

  test("reports how it ended", async () => {
    const child = await node("process.on('SIGTERM', () => process.exit(7)); " + ready + stay);
    await expect(child.stop()).resolves.toEqual({ code: 7, signal: null });
    await expect(child.kill("SIGKILL")).resolves.toEqual({ code: 7, signal: null });
    const other = await node(ready + stay);
    await expect(other.kill("SIGKILL")).resolves.toEqual({ code: null, signal: "SIGKILL" });
  });

  test("is killed when it ignores being asked to end, and that is an error", async () => {
    const child = await node("process.on('SIGTERM', () => console.error('no')); " + ready + stay);
    await expect(child.stop({ graceMs: 200 })).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await expect(child.exited).resolves.toEqual({ code: null, signal: "SIGKILL" });
    expect(child.stderr).toBe("no\n");
  });
});

describe("the events of a process", () => {
  test("are read in order, each once, also those that came before the wait", async () => {
    const child = await node(
      ready + "for (const event of ['a', 'b', 'a']) say({ event, at: event }); " + stay,
    );
    await child.events.next("b");
    await expect(child.events.next("a")).resolves.toEqual({ event: "a", at: "a" });
    expect(child.events.all.map(({ event }) => event)).toEqual(["a", "b", "a"]);
  });

  test("are waited for by what they carry", async () => {
    const child = await node(ready + "[1, 2, 3].forEach((n) => say({ event: 'n', n })); " + stay);
    await expect(child.events.next(({ n }) => n === 3)).resolves.toEqual({ event: "n", n: 3 });
  });

  test("that are skipped are of no interest", async () => {
    const child = await node(
      "process.on('SIGUSR2', () => say({ event: 'a', n: 2 })); say({ event: 'a', n: 1 }); " + ready + stay,
    );
    child.events.skip();
    const later = child.events.next("a");
    process.kill(child.pid, "SIGUSR2");
    await expect(later).resolves.toEqual({ event: "a", n: 2 });
  });

  test("that never come end the wait with what came instead", async () => {
    const child = await node(ready + "say({ event: 'b' }); " + stay);
    await expect(child.events.next("a", { timeoutMs: 300 })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
      message: 'child did not print event "a" within 300 ms, printed: b',
    });
  });

  test("end with the process, and reject a pending wait", async () => {
    const child = await node(ready + "console.error('out of luck')");
    await expect(child.events.next("a")).rejects.toMatchObject({
      code: Code.Unavailable,
      message: 'child (stderr: out of luck) ended with code 0 before event "a", nothing was printed',
    });
  });
});
