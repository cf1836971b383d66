import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstValueFrom } from "rxjs";
import { describe, expect, onTestFinished, test } from "vitest";
import { Code, explain, NsmError } from "../../src/core/index.js";
import { readText, watchFiles, type WatchedFiles, type WatchFilesOptions } from "../../src/files/index.js";
import { virtualClock } from "../../src/testing/index.js";

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "watch-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** Files whose contents the test sets, in a directory that it touches. */
async function scripted(options: Partial<WatchFilesOptions<string>> = {}) {
  const directory = await temporaryDirectory();
  const clock = virtualClock();
  let contents: string | NsmError = "one";
  let onRead = (): void => {};
  const read = async () => {
    onRead();
    if (contents instanceof NsmError) throw contents;
    return { text: contents, value: contents };
  };
  const problems: string[] = [];
  const watched = await watchFiles({
    files: [join(directory, "file")],
    read,
    clock,
    onProblem: (problem) => problems.push(explain(problem)),
    ...options,
  });
  onTestFinished(() => watched.close());
  const changes: string[] = [];
  watched.changes.subscribe((value) => changes.push(value));
  const failures: string[] = [];
  watched.failures.subscribe(({ message }) => failures.push(message));
  return {
    clock,
    watched,
    changes,
    failures,
    problems,
    /** Sets the contents, and returns once they have been read because of an event. */
    async set(next: string | NsmError) {
      contents = next;
      const seen = new Promise<void>((resolve) => (onRead = resolve));
      await writeFile(join(directory, "file"), "");
      await seen;
      await clock.settle();
    },
  };
}

const broken = (why: string): NsmError => new NsmError(Code.InvalidArgument, why);

describe("changed files", () => {
  test("count when a second reading after half a second finds the same", async () => {
    const { clock, watched, changes, set } = await scripted();
    await set("two");
    await clock.advance(499);
    expect(watched.current()).toBe("one");
    const changed = firstValueFrom(watched.changes);
    await clock.advance(1);
    expect(await changed).toBe("two");
    expect([watched.current(), changes]).toEqual(["two", ["two"]]);
  });

  test("wait again when they change once more", async () => {
    const { clock, watched, changes, set } = await scripted();
    await set("tw");
    await clock.advance(499);
    await set("two");
    await clock.advance(499);
    expect(changes).toEqual([]);
    const changed = firstValueFrom(watched.changes);
    await clock.advance(1);
    await changed;
    expect(changes).toEqual(["two"]);
  });

  test("count at once when usable means complete", async () => {
    const { watched, changes, set } = await scripted({ usableIsComplete: true });
    const changed = firstValueFrom(watched.changes);
    await set("two");
    await changed;
    expect(changes).toEqual(["two"]);
  });

  test("that cannot be used are reported after half a second, once per reason, and the last value stays", async () => {
    const { clock, watched, failures, set } = await scripted();
    const first = firstValueFrom(watched.failures);
    await set(broken("half"));
    await clock.advance(499);
    expect(failures).toEqual([]);
    await clock.advance(1);
    await first;
    await set(broken("half"));
    await clock.advance(60_000);
    const second = firstValueFrom(watched.failures);
    await set(broken("gone"));
    await clock.advance(500);
    await second;
    expect(failures).toEqual(["half", "gone"]);
    expect(watched.current()).toBe("one");

    const changed = firstValueFrom(watched.changes);
    await set("two");
    await clock.advance(500);
    await changed;
    const third = firstValueFrom(watched.failures);
    await set(broken("gone"));
    await clock.advance(500);
    await third;
    expect(failures).toEqual(["half", "gone", "gone"]);
  });

  test.each([true, false])(
    "that are usable again in time are not reported (usable is complete: %s)",
    async (usableIsComplete) => {
      const { clock, watched, failures, changes, set } = await scripted({ usableIsComplete });
      await set(broken("half"));
      await clock.advance(499);
      const changed = firstValueFrom(watched.changes);
      await set("two");
      await clock.advance(500);
      await changed;
      expect([changes, failures]).toEqual([["two"], []]);
      // The regular check is left.
      expect(clock.timers).toBe(1);
    },
  );

  test("with the same text as before keep the same value", async () => {
    const directory = await temporaryDirectory();
    const values: object[] = [];
    let again = (): void => {};
    const rereads = new Promise<void>((resolve) => (again = resolve));
    const watched = await watchFiles({
      files: [join(directory, "file")],
      read: async () => {
        if (values.push({}) > 1) again();
        return { text: "same", value: values.at(-1) };
      },
      usableIsComplete: true,
      onProblem: () => {},
    });
    onTestFinished(() => watched.close());
    await rereads;
    await new Promise((resolve) => setImmediate(resolve));
    expect(watched.current()).toBe(values[0]);
  });
});

/** Follows real files. A file without text is not usable. */
async function following(files: readonly string[], clock = virtualClock()): Promise<WatchedFiles<string>> {
  const watched = await watchFiles({
    files,
    clock,
    usableIsComplete: true,
    onProblem: () => {},
    async read() {
      const texts = await Promise.all(files.map(readText));
      if (texts.includes("")) throw broken("empty");
      return { text: texts.join(), value: texts.join() };
    },
  });
  onTestFinished(() => watched.close());
  return watched;
}

describe("watched files are followed", () => {
  test("when they are written in place, renamed over, or deleted and made anew", async () => {
    const directory = await temporaryDirectory();
    const file = join(directory, "file");
    await writeFile(file, "one");
    const { changes } = await following([file]);
    let changed = firstValueFrom(changes);
    await writeFile(file, "two");
    expect(await changed).toBe("two");
    changed = firstValueFrom(changes);
    await writeFile(`${file}~`, "three");
    await rename(`${file}~`, file);
    expect(await changed).toBe("three");
    changed = firstValueFrom(changes);
    await rm(file);
    await writeFile(file, "four");
    expect(await changed).toBe("four");
  });

  test("through a replaced symlink, as in Kubernetes volumes", async () => {
    const directory = await temporaryDirectory();
    for (const version of ["..1", "..2"]) {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, "a"), `a${version}`);
      await writeFile(join(directory, version, "b"), `b${version}`);
    }
    await symlink("..1", join(directory, "..data"));
    for (const name of ["a", "b"]) await symlink(join("..data", name), join(directory, name));
    const { changes } = await following(["a", "b"].map((name) => join(directory, name)));
    const changed = firstValueFrom(changes);
    await symlink("..2", join(directory, "..tmp"));
    await rename(join(directory, "..tmp"), join(directory, "..data"));
    expect(await changed).toBe("a..2,b..2");
  });

  test("into the directories behind symlinks", async () => {
    const [directory, elsewhere] = [await temporaryDirectory(), await temporaryDirectory()];
    const target = join(elsewhere, "target");
    await writeFile(target, "one");
    await symlink(target, join(directory, "file"));
    const clock = virtualClock();
    const { changes, close } = await following([join(directory, "file")], clock);
    // The reading after the start may still find the first change. The second is found only by an event.
    for (const text of ["two", "three"]) {
      const changed = firstValueFrom(changes);
      await writeFile(target, text);
      expect(await changed).toBe(text);
    }
    expect(clock.timers).toBe(2);
    close();
    expect(clock.timers).toBe(0);
  });

  test("into another directory of the same name, after the regular check", async () => {
    const parent = await temporaryDirectory();
    const directory = join(parent, "current");
    for (const [name, text] of [
      ["current", "one"],
      ["next", "two"],
    ] as const) {
      await mkdir(join(parent, name));
      await writeFile(join(parent, name, "file"), text);
    }
    const clock = virtualClock();
    const { changes } = await following([join(directory, "file")], clock);
    await rename(directory, join(parent, "previous"));
    await rename(join(parent, "next"), directory);
    let changed = firstValueFrom(changes);
    await clock.advance(60_000);
    expect(await changed).toBe("two");
    changed = firstValueFrom(changes);
    await writeFile(join(directory, "file"), "three");
    expect(await changed).toBe("three");
  });
});

describe("watchFiles", () => {
  test("fails when the files are not usable at the start, and leaves nothing", async () => {
    const clock = virtualClock();
    const read = () => Promise.reject(broken("nothing there"));
    await expect(watchFiles({ files: ["/none/file"], read, clock, onProblem: () => {} })).rejects.toThrow(
      "nothing there",
    );
    expect(clock.timers).toBe(0);
  });

  test("reports once that a directory cannot be watched", async () => {
    const { problems, clock } = await scripted({ files: ["/none/file"] });
    await clock.advance(180_000);
    expect(problems).toEqual([
      expect.stringMatching(/^\/none cannot be watched; its files are read every 60000 ms instead: .*ENOENT/),
    ]);
  });

  test("emits nothing after it is closed, completes, and leaves no timer", async () => {
    const { watched, clock, changes, failures, set } = await scripted();
    const completed: string[] = [];
    watched.changes.subscribe({ complete: () => completed.push("changes") });
    watched.failures.subscribe({ complete: () => completed.push("failures") });
    await set("two");
    watched.close();
    watched.close();
    await clock.advance(60_000);
    expect([changes, failures, completed, clock.timers]).toEqual([[], [], ["changes", "failures"], 0]);
  });
});
