import { chmod, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { firstValueFrom } from "rxjs";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { Code, explain, type Clock, type NsmError } from "../../src/core/index.js";
import {
  authority,
  filesSource,
  type Authority,
  type FilesSourceOptions,
  type IssuedSvid,
  type X509Source,
} from "../../src/identity/index.js";
import { leafOf, temporaryDirectory } from "./support.js";

let org: Authority;
beforeAll(async () => {
  org = await authority({ trustDomain: "example.org" });
});

/** The real clock, with its timers counted and fired by hand. */
function manualClock(): Clock & {
  readonly armed: number;
  armedTo(count: number): Promise<void>;
  fire(): void;
} {
  const timers = new Set<() => void>();
  let waiting: { count: number; resolve: () => void } | undefined;
  return {
    now: () => Date.now(),
    after(_ms, callback) {
      // A set of wrappers: the same callback may be armed twice.
      const timer = (): void => callback();
      timers.add(timer);
      if (waiting && timers.size >= waiting.count) waiting.resolve();
      return () => void timers.delete(timer);
    },
    get armed() {
      return timers.size;
    },
    async armedTo(count) {
      if (timers.size < count) await new Promise<void>((resolve) => (waiting = { count, resolve }));
    },
    fire() {
      const due = [...timers];
      timers.clear();
      for (const timer of due) timer();
    },
  };
}

describe("a private key that other users may read", () => {
  test.each([0o640, 0o604])("is reported once when its mode is %i", async (mode) => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    await chmod(join(directory, "key.pem"), mode);
    const problems: string[] = [];
    const clock = manualClock();
    const source = await filesSource(directory, {
      clock,
      onProblem: (problem) => problems.push(explain(problem)),
    });
    const expected = [
      `${directory}/key.pem has mode 0${mode.toString(8)}, so other users may use the private key: set it to 0600`,
    ];
    expect(problems).toEqual(expected);
    clock.fire();
    await new Promise((resolve) => setImmediate(resolve));
    expect(problems).toEqual(expected);
    source.close();
  });

  test("is not reported when only its owner may", async () => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const onProblem = vi.fn();
    (await filesSource(directory, { onProblem })).close();
    expect(onProblem).not.toHaveBeenCalled();
  });
});

/** What this process watches, as the kernel counts it: Node does not list watches that hold no process alive. */
async function inotifyWatches(): Promise<number> {
  const infos = await Promise.all(
    (await readdir("/proc/self/fdinfo")).map((fd) =>
      // A descriptor may be gone since it was listed.
      readFile(`/proc/self/fdinfo/${fd}`, "utf8").catch(() => ""),
    ),
  );
  return infos.join("").match(/^inotify wd:/gm)?.length ?? 0;
}

async function opened(directory: string, options: FilesSourceOptions = {}): Promise<X509Source> {
  const source = await filesSource(directory, options);
  onTestFinished(() => source.close());
  return source;
}

const fingerprintOf = (source: X509Source): string => source.current().svid.certificates[0]!.fingerprint256;
const printOf = (issued: IssuedSvid): string => leafOf(issued).fingerprint256;

describe("filesSource", () => {
  test("holds the contents of the files", async () => {
    const directory = await temporaryDirectory();
    const issued = await (await org.intermediate()).issue({ path: "/nsmgr", lifetimeMs: 60_000 });
    await issued.writeTo(directory);
    const { svid, bundles } = (await opened(directory)).current();
    expect(`${svid.id}`).toBe("spiffe://example.org/nsmgr");
    expect(svid.certificates).toHaveLength(2);
    expect(svid.expires).toEqual(new Date(leafOf(issued).validTo));
    expect([...bundles.keys()]).toEqual(["example.org"]);
  });

  const file = (name: string, text: string) => (directory: string) => writeFile(join(directory, name), text);
  const issue = async (directory: string, options: Parameters<Authority["issue"]>[0]): Promise<void> =>
    (await org.issue(options)).writeTo(directory);

  test.each<[string, (directory: string) => Promise<unknown>, string, number, string]>([
    [
      "ca.pem is missing",
      (d) => rm(join(d, "ca.pem")),
      "ca.pem does not exist",
      Code.NotFound,
      "holds ca.pem, svid.pem and key.pem",
    ],
    [
      "svid.pem is missing",
      (d) => rm(join(d, "svid.pem")),
      "svid.pem does not exist",
      Code.NotFound,
      "holds",
    ],
    ["key.pem is missing", (d) => rm(join(d, "key.pem")), "key.pem does not exist", Code.NotFound, "holds"],
    [
      "the directory is missing",
      (d) => rm(d, { recursive: true }),
      "ca.pem does not exist",
      Code.NotFound,
      "holds",
    ],
    [
      "a file is a directory",
      async (d) => {
        await rm(join(d, "ca.pem"));
        await mkdir(join(d, "ca.pem"));
      },
      "ca.pem cannot be read",
      Code.FailedPrecondition,
      "EISDIR",
    ],
    [
      "ca.pem is empty",
      file("ca.pem", ""),
      "ca.pem is not usable",
      Code.InvalidArgument,
      "BEGIN CERTIFICATE",
    ],
    [
      "ca.pem holds a leaf",
      async (d) => writeFile(join(d, "ca.pem"), (await org.issue({ path: "/a" })).svid),
      "ca.pem is not usable",
      Code.InvalidArgument,
      "certificate 1 of 1 is not a CA certificate",
    ],
    [
      "svid.pem is not PEM",
      file("svid.pem", "\0\x01"),
      "svid.pem is not usable",
      Code.InvalidArgument,
      "no certificate",
    ],
    [
      "svid.pem is truncated",
      (d) => truncate(join(d, "svid.pem"), 200),
      "svid.pem is not usable",
      Code.InvalidArgument,
      "truncated",
    ],
    [
      "svid.pem names no id",
      (d) => issue(d, { path: "/a", uris: [] }),
      "svid.pem is not usable",
      Code.InvalidArgument,
      "exactly one URI",
    ],
    [
      "svid.pem names two",
      (d) => issue(d, { path: "/a", uris: ["spiffe://example.org/a", "spiffe://example.org/b"] }),
      "svid.pem is not usable",
      Code.InvalidArgument,
      "exactly one URI",
    ],
    [
      "svid.pem is an authority",
      (d) => issue(d, { path: "/a", ca: true }),
      "svid.pem is not usable",
      Code.FailedPrecondition,
      "expected a leaf",
    ],
    [
      "svid.pem expired",
      (d) => issue(d, { path: "/a", notBefore: new Date(0) }),
      "svid.pem is not usable",
      Code.FailedPrecondition,
      "spiffe://example.org/a expired at 1970-01-01T01:00:00Z; now it is",
    ],
    [
      "ca.pem is another authority's",
      async (d) => writeFile(join(d, "ca.pem"), (await authority({ trustDomain: "example.org" })).ca),
      "svid.pem is not usable",
      Code.FailedPrecondition,
      'does not chain to the bundle of "example.org"',
    ],
    [
      "key.pem holds no key",
      file("key.pem", "secret"),
      "key.pem is not usable",
      Code.InvalidArgument,
      "expected an unencrypted PEM key",
    ],
    [
      "key.pem is another certificate's",
      async (d) => writeFile(join(d, "key.pem"), (await org.issue({ path: "/b" })).key),
      "key.pem is not usable",
      Code.InvalidArgument,
      "does not match the certificate of spiffe://example.org/a",
    ],
    [
      "the key is RSA",
      (d) => issue(d, { path: "/a", key: "RSA" }),
      "key.pem is not usable",
      Code.InvalidArgument,
      "is RSA 2048; it must be ECDSA P-256",
    ],
    [
      "the key is P-384",
      (d) => issue(d, { path: "/a", key: "P-384" }),
      "key.pem is not usable",
      Code.InvalidArgument,
      "is ECDSA P-384; it must be ECDSA P-256",
    ],
  ])("refuses to start when %s", async (_title, spoil, where, code, why) => {
    const directory = await temporaryDirectory();
    await issue(directory, { path: "/a" });
    await spoil(directory);
    const clock = manualClock();
    const error = await filesSource(directory, { clock }).then(
      () => undefined,
      (reason: unknown) => reason as NsmError,
    );
    expect(error).toMatchObject({ code });
    expect(error!.message).toContain(`${directory}/${where}`);
    expect(explain(error)).toContain(why);
    expect(explain(error)).not.toContain("secret");
    expect(clock.armed).toBe(0);
  });

  test("takes a renewed identity whose files are renamed over the old ones", async () => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const source = await opened(directory);
    const before = source.current();
    const changed = firstValueFrom(source.changes);
    const renewed = await org.issue({ path: "/a" });
    await renewed.writeTo(directory);
    expect(await changed).toBe(source.current());
    expect(source.current()).not.toBe(before);
    expect(fingerprintOf(source)).toBe(printOf(renewed));
  });

  test("takes a renewed identity when the link to its directory is swapped, as Kubernetes does", async () => {
    const directory = await temporaryDirectory();
    const publish = async (issued: IssuedSvid, version: string): Promise<void> => {
      await issued.writeTo(join(directory, version));
      await symlink(version, join(directory, "..data_tmp"));
      await rename(join(directory, "..data_tmp"), join(directory, "..data"));
    };
    await publish(await org.issue({ path: "/a" }), "..1");
    for (const name of ["ca.pem", "svid.pem", "key.pem"]) {
      await symlink(join("..data", name), join(directory, name));
    }
    const source = await opened(directory);
    const seen: string[] = [];
    source.changes.subscribe(({ svid }) => seen.push(svid.certificates[0]!.fingerprint256));
    const changed = firstValueFrom(source.changes);
    const renewed = await org.issue({ path: "/a" });
    await publish(renewed, "..2");
    await changed;
    await rm(join(directory, "..1"), { recursive: true });
    expect(seen).toEqual([printOf(renewed)]);
  });

  test("takes files written in place when the last of them fits, and none of the states between", async () => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const problem = vi.fn<(problem: NsmError) => void>();
    const clock = manualClock();
    const source = await opened(directory, { clock, onProblem: problem });
    const before = source.current();
    const seen: string[] = [];
    source.changes.subscribe(({ svid }) => seen.push(svid.certificates[0]!.fingerprint256));

    // Another root too: each file alone contradicts the two that are still old.
    const renewed = await (await authority({ trustDomain: "example.org" })).issue({ path: "/a" });
    await writeFile(join(directory, "key.pem"), renewed.key);
    await writeFile(join(directory, "svid.pem"), renewed.svid.slice(0, 100));
    // The half-written state was read when the timer that waits for its end is armed.
    await clock.armedTo(2);
    expect(source.current()).toBe(before);
    await writeFile(join(directory, "svid.pem"), renewed.svid);
    expect(source.current()).toBe(before);

    const changed = firstValueFrom(source.changes);
    await writeFile(join(directory, "ca.pem"), renewed.ca);
    await changed;
    expect(seen).toEqual([printOf(renewed)]);
    expect(problem).not.toHaveBeenCalled();
    // Only the regular look is left.
    expect(clock.armed).toBe(1);
  });

  test("keeps the old identity while the files are unusable, and reports it once", async () => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const clock = manualClock();
    let onProblem: (problem: NsmError) => void;
    const problems: string[] = [];
    const nextProblem = (): Promise<NsmError> => new Promise((resolve) => (onProblem = resolve));
    const source = await opened(directory, {
      clock,
      onProblem(problem) {
        problems.push(explain(problem));
        onProblem(problem);
      },
    });
    const before = source.current();

    const first = nextProblem();
    await writeFile(join(directory, "svid.pem"), "oops");
    await clock.armedTo(2);
    expect(problems).toEqual([]);
    clock.fire();
    await first;
    expect(source.current()).toBe(before);

    // The source looks many times and reports only what is new.
    clock.fire();
    const second = nextProblem();
    await rm(join(directory, "svid.pem"));
    clock.fire();
    await second;
    expect(problems).toEqual([
      expect.stringMatching(/^the identity in .* was not updated: .*svid.pem is not usable: no certificate/),
      expect.stringMatching(/^the identity in .* was not updated: .*svid.pem does not exist/),
    ]);
    expect(source.current()).toBe(before);

    const renewed = await org.issue({ path: "/a" });
    const changed = firstValueFrom(source.changes);
    await renewed.writeTo(directory);
    await changed;
    expect(fingerprintOf(source)).toBe(printOf(renewed));
  });

  test("emits nothing when files are rewritten with the same contents", async () => {
    const directory = await temporaryDirectory();
    const issued = await org.issue({ path: "/a" });
    await issued.writeTo(directory);
    const source = await opened(directory);
    const seen: string[] = [];
    source.changes.subscribe(({ svid }) => seen.push(svid.id.path));
    await issued.writeTo(directory);
    const changed = firstValueFrom(source.changes);
    await (await org.issue({ path: "/b" })).writeTo(directory);
    await changed;
    expect(seen).toEqual(["/b"]);
  });

  test("finds by its regular look what the watch cannot see", async () => {
    const targetDirectory = await temporaryDirectory();
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(targetDirectory);
    for (const name of ["ca.pem", "svid.pem", "key.pem"]) {
      await symlink(join(targetDirectory, name), join(directory, name));
    }
    const clock = manualClock();
    const source = await opened(directory, { clock });
    const renewed = await org.issue({ path: "/a" });
    await renewed.writeTo(targetDirectory);
    const changed = firstValueFrom(source.changes);
    clock.fire();
    await changed;
    expect(fingerprintOf(source)).toBe(printOf(renewed));
  });

  test("follows the name when the directory itself is replaced", async () => {
    const parent = await temporaryDirectory();
    const directory = join(parent, "identity");
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const watches = await inotifyWatches();
    const clock = manualClock();
    const source = await opened(directory, { clock, onProblem: () => undefined });

    const second = await org.issue({ path: "/b" });
    await second.writeTo(join(parent, "next"));
    await rename(directory, join(parent, "previous"));
    await rename(join(parent, "next"), directory);
    const changed = firstValueFrom(source.changes);
    clock.fire();
    await changed;
    expect(fingerprintOf(source)).toBe(printOf(second));

    // By the watch alone: no timer is fired any more.
    const third = await org.issue({ path: "/c" });
    const changedAgain = firstValueFrom(source.changes);
    await third.writeTo(directory);
    await changedAgain;
    expect(fingerprintOf(source)).toBe(printOf(third));
    expect(await inotifyWatches()).toBe(watches + 1);
  });

  test("leaves no watch and no timer when closed, and may be closed twice", async () => {
    const directory = await temporaryDirectory();
    await (await org.issue({ path: "/a" })).writeTo(directory);
    const before = await inotifyWatches();
    const clock = manualClock();
    const source = await filesSource(directory, { clock });
    let completed = false;
    source.changes.subscribe({ next: () => expect.fail("it changed"), complete: () => (completed = true) });
    expect(clock.armed).toBe(1);
    expect(await inotifyWatches()).toBe(before + 1);

    source.close();
    expect(completed).toBe(true);
    expect(await inotifyWatches()).toBe(before);
    expect(clock.armed).toBe(0);
    source.close();
  });
});
