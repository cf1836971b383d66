import { closeSync, constants, fstatSync, openSync, stat, statfsSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Code, explain, NsmError } from "../core/index.js";
import { CLONE_NEWNET, NS_GET_NSTYPE, NSFS_MAGIC, O_PATH } from "./constants.js";
import { errnoOf, errnoText, refusal, remedyFor } from "./errno.js";
import { check, libc } from "./libc.js";

/**
 * A network namespace held by a descriptor: it lives at least as long as this object is open,
 * whatever happens to the process or the file it came from.
 */
export interface NetworkNamespace {
  /** The open descriptor. Throws FAILED_PRECONDITION once closed: the number may be another file by then. */
  readonly fd: number;
  /** Device and inode of the namespace file: equal exactly when two objects hold the same namespace. */
  readonly device: bigint;
  readonly inode: bigint;
  /** `net:[4026532233]`, as the kernel writes it. */
  readonly name: string;
  /** Where any process of this user can open it while this object is open: `/proc/<pid>/fd/<fd>`. */
  readonly path: string;
  readonly closed: boolean;
  /**
   * Runs `fn` with this thread inside the namespace and goes back before it returns. Sockets opened and
   * children spawned by `fn` belong to the namespace for good.
   * `fn` must do its work before it returns: after an `await` the thread is somewhere else, so a function
   * that returns a promise is refused (INVALID_ARGUMENT), although what it began has begun.
   * `net.connect`, `server.listen({ host })` and `dgram.createSocket` open their socket later, at home: use
   * `connectIn`, `listenIn` and the other functions of this module that take a namespace.
   * Entering needs CAP_SYS_ADMIN (PERMISSION_DENIED), unless the thread is there already.
   * Should the thread be unable to go back, the process ends at once with status 70.
   */
  run<T>(fn: () => T): T;
  /** Has `release` called when the namespace is closed, or at once when it is closed already. */
  onClose(release: () => void): void;
  /** Gives the descriptor back and everything that was opened through it. May be called again. */
  close(): void;
}

/**
 * Opens a network namespace by path or file URL: `/proc/<pid>/ns/net`, `/var/run/netns/red`,
 * `file:///proc/self/fd/7`. Only a namespace file is ever opened; anything else (a FIFO, a device, a mount
 * namespace) is refused untouched. A descriptor received as O_PATH is opened by `/proc/self/fd/<n>`.
 *
 * @throws NsmError NOT_FOUND when nothing is there, INVALID_ARGUMENT when it is something else,
 * PERMISSION_DENIED when the process may not look at it.
 * @example
 * import { execFileSync } from "node:child_process";
 * import { connectIn, openNamespace } from "nsm-sdk/linux";
 *
 * const client = openNamespace("file:///proc/4711/ns/net");
 * const addresses = client.run(() => execFileSync("ip", ["-brief", "address"], { encoding: "utf8" }));
 * const socket = await connectIn({ namespace: client, host: "172.16.1.100", port: 80 });
 * client.close();
 */
export function openNamespace(pathOrUrl: string | URL): NetworkNamespace {
  const path = pathOf(pathOrUrl);
  const named = open(path, O_PATH); // names the file without opening it: opening a FIFO would wait for its writer
  try {
    const type = statfsSync(`/proc/self/fd/${named}`).type;
    if (type !== NSFS_MAGIC) {
      throw new NsmError(
        Code.InvalidArgument,
        `${path} is not a network namespace: its file system is 0x${type.toString(16)}, allowed is nsfs`,
      );
    }
    return held(open(`/proc/self/fd/${named}`, constants.O_RDONLY, path), path);
  } finally {
    closeSync(named);
  }
}

/** The network namespace this thread stands in; a worker thread may stand elsewhere than the process. */
export function currentNamespace(): NetworkNamespace {
  return openNamespace("/proc/thread-self/ns/net");
}

/**
 * A new, empty network namespace that no file names: it is gone when the last descriptor of it is closed.
 * Needs CAP_SYS_ADMIN, or a user namespace of one's own (`unshare -Urn node …`); its loopback is down.
 *
 * @throws NsmError PERMISSION_DENIED without that privilege, RESOURCE_EXHAUSTED at the limit of namespaces.
 * @example
 * import { netlinkIn, newNamespace } from "nsm-sdk/linux";
 *
 * const lab = newNamespace();
 * await netlinkIn(lab).setLink("lo", { up: true });
 */
export function newNamespace(): NetworkNamespace {
  startThreadPool();
  const home = openSync("/proc/thread-self/ns/net", constants.O_RDONLY);
  try {
    check("unshare", libc().unshare(CLONE_NEWNET));
    try {
      return currentNamespace();
    } finally {
      goBack(home);
    }
  } catch (error) {
    throw notAllowed(error, "cannot make a network namespace");
  } finally {
    closeSync(home);
  }
}

function pathOf(pathOrUrl: string | URL): string {
  const text = String(pathOrUrl);
  if (text.startsWith("/")) return text;
  if (text.startsWith("file:")) {
    try {
      return fileURLToPath(text);
    } catch (error) {
      throw new NsmError(Code.InvalidArgument, `"${text}" names no file`, { cause: error });
    }
  }
  throw new NsmError(
    Code.InvalidArgument,
    `"${text}" names no network namespace: allowed are an absolute path and file:///…`,
  );
}

function open(path: string, flags: number, shown = path): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const errno = errnoOf(error) ?? "EIO";
    const hint =
      errno === "EACCES" ? "; that of a process is open to its own user and to CAP_SYS_PTRACE" : "";
    // Node's error would say the same once more.
    throw refusal(errno, `cannot open the network namespace ${shown}: ${errnoText(errno)}${hint}`);
  }
}

/** Takes over the descriptor of a namespace file, which may still be one of another kind. */
function held(fd: number, path: string): NetworkNamespace {
  try {
    if (check("ioctl", libc().ioctl(fd, NS_GET_NSTYPE, 0)) !== CLONE_NEWNET) {
      throw new NsmError(Code.InvalidArgument, `${path} is a namespace, but not a network namespace`);
    }
    return new HeldNamespace(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

class HeldNamespace implements NetworkNamespace {
  readonly device: bigint;
  readonly inode: bigint;
  readonly name: string;
  readonly #fd: number;
  readonly #releases: (() => void)[] = [];
  #closed = false;

  constructor(fd: number) {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    this.#fd = fd;
    this.device = dev;
    this.inode = ino;
    this.name = `net:[${ino}]`;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get fd(): number {
    if (this.#closed)
      throw new NsmError(Code.FailedPrecondition, `the namespace ${this.name} is closed here`);
    return this.#fd;
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  run<T>(fn: () => T): T {
    const target = this.fd;
    const home = openSync("/proc/thread-self/ns/net", constants.O_RDONLY);
    try {
      if (this.#isAt(home)) return finished(fn()); // entering needs privilege, being there does not
      enter(target, this.name);
      try {
        return finished(fn());
      } finally {
        goBack(home);
      }
    } finally {
      closeSync(home);
    }
  }

  #isAt(fd: number): boolean {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return dev === this.device && ino === this.inode;
  }

  onClose(release: () => void): void {
    if (this.#closed) release();
    else this.#releases.push(release);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
    for (const release of this.#releases.splice(0)) release();
  }
}

function enter(fd: number, name: string): void {
  startThreadPool();
  try {
    check("setns", libc().setns(fd, CLONE_NEWNET));
  } catch (error) {
    throw notAllowed(error, `cannot enter the network namespace ${name}`);
  }
}

let threadPoolStarted = false;

/** libuv starts its threads at the first asynchronous call; started inside a namespace, they would stay there. */
function startThreadPool(): void {
  if (threadPoolStarted) return;
  threadPoolStarted = true;
  stat("/", () => {});
}

/** A thread that stays in the wrong namespace would configure and connect in the wrong place: nothing may run on. */
function goBack(home: number): void {
  try {
    check("setns", libc().setns(home, CLONE_NEWNET));
  } catch (error) {
    try {
      writeSync(2, `cannot leave a network namespace again: ${explain(error)}; ending the process\n`);
    } finally {
      libc().exitNow(70);
    }
  }
}

function finished<T>(result: T): T {
  if (typeof (result as { then?: unknown } | null)?.then === "function") {
    throw new NsmError(
      Code.InvalidArgument,
      "what runs inside a namespace must be synchronous: the thread leaves it before a promise settles",
    );
  }
  return result;
}

function notAllowed(error: unknown, sentence: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const why = errno === "EPERM" ? remedyFor("CAP_SYS_ADMIN") : errnoText(errno);
  return refusal(errno, `${sentence}: ${why}`, error);
}
