import { closeSync, constants, fstatSync, openSync, stat, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Code, explain, NsmError } from "../core/index.js";
import { CLONE_NEWNET, NS_GET_NSTYPE, O_PATH } from "./constants.js";
import { errnoOf, errnoText, refusal, remedyFor } from "./errno.js";
import { check, libc } from "./libc.js";
import { fileId, namespaceDevice } from "./sockets/file-id.js";

/**
 * A network namespace, held open by a descriptor. It exists at least until `close()`, regardless of the
 * process or file it came from.
 */
export interface NetworkNamespace {
  /** The open descriptor. Throws FAILED_PRECONDITION after `close()`: the number may be reused. */
  readonly fd: number;
  /** Device of the namespace file. Two objects hold the same namespace if device and inode are equal. */
  readonly device: bigint;
  readonly inode: bigint;
  /** The kernel's name for it: `net:[4026532233]`. */
  readonly name: string;
  /** A path for other processes of this user, valid until `close()`: `/proc/<pid>/fd/<fd>`. */
  readonly path: string;
  readonly closed: boolean;
  /**
   * Runs `fn` with this thread inside the namespace, and returns to the old namespace afterwards. Sockets
   * that `fn` opens and children that it spawns stay in the namespace.
   *
   * `fn` must be synchronous, because the thread leaves the namespace when `fn` returns. A returned promise
   * is rejected with INVALID_ARGUMENT, but the work it started continues. `net.connect`, `server.listen({
   * host })` and `dgram.createSocket` open their socket later, in the old namespace. Use `connectIn`,
   * `listenIn` and the other functions of this module that take a namespace.
   *
   * Entering another namespace needs CAP_SYS_ADMIN; otherwise it fails with PERMISSION_DENIED. If the thread
   * cannot return, the process exits at once with status 70.
   */
  run<T>(fn: () => T): T;
  /** Registers `release` to run when the namespace is closed. Runs it at once if it is closed already. */
  onClose(release: () => void): void;
  /** Closes the descriptor and everything opened through it. Can be called more than once. */
  close(): void;
}

/**
 * Opens a network namespace by path or file URL: `/proc/<pid>/ns/net`, `/var/run/netns/red`,
 * `file:///proc/self/fd/7`. Rejects anything else (a FIFO, a device, a mount namespace) without opening it.
 * For a descriptor received as O_PATH, use `/proc/self/fd/<n>`.
 *
 * @throws NsmError NOT_FOUND if the path does not exist, INVALID_ARGUMENT if it is not a network namespace,
 * PERMISSION_DENIED if the process must not access it
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
    // Does not call the file system: the peer may serve the received file itself and never answer.
    if (fileId(named).device !== namespaceDevice()) {
      throw new NsmError(Code.InvalidArgument, `${path} is not a network namespace, but another file`);
    }
    return held(open(`/proc/self/fd/${named}`, constants.O_RDONLY, path), path);
  } finally {
    closeSync(named);
  }
}

/**
 * The network namespace of the current thread. Worker threads may be in another namespace than the process.
 */
export function currentNamespace(): NetworkNamespace {
  return openNamespace("/proc/thread-self/ns/net");
}

/**
 * Creates an empty network namespace without a file. It exists until its last descriptor is closed. Its
 * loopback interface is down. Needs CAP_SYS_ADMIN, or an own user namespace (`unshare -Urn node …`).
 *
 * @throws NsmError PERMISSION_DENIED without that privilege, RESOURCE_EXHAUSTED at the limit of namespaces
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
    throw notAllowed(error, "cannot create a network namespace");
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
      throw new NsmError(Code.InvalidArgument, `"${text}" is not the URL of a file`, { cause: error });
    }
  }
  throw new NsmError(
    Code.InvalidArgument,
    `"${text}" is not a network namespace: expected an absolute path or file:///…`,
  );
}

function open(path: string, flags: number, shown = path): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const errno = errnoOf(error) ?? "EIO";
    const hint =
      errno === "EACCES" ? "; only the user of the process and CAP_SYS_PTRACE can open its namespace" : "";
    // Node's error would repeat the same text.
    throw refusal(errno, `cannot open the network namespace ${shown}: ${errnoText(errno)}${hint}`);
  }
}

/** Takes ownership of the descriptor of a namespace file. The namespace may be of another kind. */
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
      throw new NsmError(Code.FailedPrecondition, `the namespace ${this.name} is already closed`);
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

/**
 * libuv starts its threads at the first asynchronous call. Threads started inside a namespace would stay
 * there.
 */
function startThreadPool(): void {
  if (threadPoolStarted) return;
  threadPoolStarted = true;
  stat("/", () => {});
}

/**
 * A thread in the wrong namespace would configure and connect the wrong place. The process must not continue.
 */
function goBack(home: number): void {
  try {
    check("setns", libc().setns(home, CLONE_NEWNET));
  } catch (error) {
    try {
      writeSync(2, `cannot return from a network namespace: ${explain(error)}; ending the process\n`);
    } finally {
      libc().exitNow(70);
    }
  }
}

function finished<T>(result: T): T {
  if (typeof (result as { then?: unknown } | null)?.then === "function") {
    throw new NsmError(
      Code.InvalidArgument,
      "a function that runs in a namespace must be synchronous: the thread leaves the namespace before a promise settles",
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
