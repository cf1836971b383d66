import { createRequire } from "node:module";
import { Code, NsmError } from "../core/index.js";
import { refusal, SystemCallError } from "./errno.js";

/**
 * The system calls that Node lacks, with the names and arguments of C. Each returns the result of the C
 * function; `errno()` returns the errno of the last synchronous call.
 */
export interface Libc {
  setns(fd: number, kind: number): number;
  unshare(flags: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Buffer, length: number): number;
  connect(fd: number, address: Buffer, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: null, length: null, flags: number): number;
  getsockname(fd: number, address: Buffer, length: Buffer): number;
  getsockopt(fd: number, level: number, option: number, value: Buffer, length: Buffer): number;
  setsockopt(fd: number, level: number, option: number, value: Buffer, length: number): number;
  send(fd: number, data: Buffer, length: number, flags: number): number;
  recv(fd: number, data: Buffer, length: number, flags: number): number;
  /** `message` holds a `struct msghdr`. */
  sendmsg(fd: number, message: Buffer, flags: number): number;
  recvmsg(fd: number, message: Buffer, flags: number): number;
  shutdown(fd: number, how: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  flock(fd: number, operation: number): number;
  /** `into` holds a `struct statx`, 256 bytes. */
  statx(directory: number, path: string, flags: number, mask: number, into: Buffer): number;
  /**
   * The memory address of a buffer, for structures that point to it. Keep a reference to the buffer
   * meanwhile.
   */
  address(buffer: Buffer): bigint;
  /** `send` on a pool thread, for calls that take milliseconds. Its errno is lost. */
  sendAsync(fd: number, data: Buffer, length: number, flags: number): Promise<number>;
  /** Starts a thread that closes the descriptor. Returns undefined if no thread can be started. */
  closeInThread(fd: number): bigint | undefined;
  /** Whether such a thread has ended. Call it no more after that. */
  hasEnded(thread: bigint): boolean;
  /** Ends the process at once, from any thread, without exit handlers. */
  exitNow(status: number): void;
  errno(): number;
  /**
   * Reports when a descriptor is ready, without a thread. Close the handle before the descriptor.
   *
   * Work that the callback defers (`nextTick`, promises) runs only after the next event of another kind. On a
   * failed descriptor, the callback runs once, and again only after `watch`.
   */
  poll(fd: number, interest: PollInterest, ready: (failed: boolean) => void): PollHandle;
}

export interface PollInterest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

export interface PollHandle {
  /** Changes what to wait for. If both are omitted, waits for nothing. */
  watch(interest: PollInterest): void;
  close(): void;
  ref(): void;
  unref(): void;
}

/** The part of koffi that this file uses. Its own typings describe the callback arguments incorrectly. */
interface Koffi {
  load(path: null): { func(definition: string): ForeignFunction };
  errno(): number;
  address(buffer: Buffer): bigint;
  node: { poll(fd: number, interest: PollInterest, callback: PollCallback): KoffiPollHandle };
}
type PollCallback = (status: number, events: unknown) => void;
interface KoffiPollHandle {
  start(interest: PollInterest, callback: PollCallback): void;
  stop(): void;
  close(): void;
  ref(): void;
  unref(): void;
}
interface ForeignFunction {
  (...args: unknown[]): unknown;
  async(...args: unknown[]): void;
}

let loaded: Libc | undefined;

/** Loads the C library on first use: importing this package must not require the native module. */
export function libc(): Libc {
  return (loaded ??= load());
}

/**
 * Returns the result of a system call, or throws {@link SystemCallError} if the call failed.
 *
 * @example
 * import { AF_INET, SOCK_STREAM } from "./constants.js";
 * import { check, libc } from "./libc.js";
 *
 * const fd = check("socket", libc().socket(AF_INET, SOCK_STREAM, 0));
 */
export function check(syscall: string, result: number): number {
  if (result < 0) throw new SystemCallError(syscall, libc().errno());
  return result;
}

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (error) {
    // Node appends the list of requiring modules, one per line.
    const [cause] = String((error as Error).message).split("\n");
    throw new NsmError(
      Code.FailedPrecondition,
      "the kernel layer needs the native module koffi: install the package's dependencies with npm install --include=optional, on Linux with glibc or musl",
      { cause: new Error(cause) },
    );
  }
}

/** A thread whose whole work is `close`: a function of C with one argument can be the start of a thread. */
function threads(c: ReturnType<Koffi["load"]>): Pick<Libc, "closeInThread" | "hasEnded"> {
  const find = c.func("uintptr_t dlsym(intptr_t library, const char *name)");
  const create = c.func(
    "int pthread_create(void *thread, const void *options, uintptr_t start, intptr_t argument)",
  );
  const join = c.func("int pthread_tryjoin_np(uintptr_t thread, void *result)");
  const RTLD_DEFAULT = 0;
  let close: unknown;
  return {
    closeInThread(fd) {
      close ??= find(RTLD_DEFAULT, "close");
      const thread = Buffer.alloc(8);
      return create(thread, null, close, fd) === 0 ? thread.readBigUInt64LE() : undefined;
    },
    hasEnded: (thread) => join(thread, null) === 0,
  };
}

function load(): Libc {
  if (process.platform !== "linux") {
    throw refusal("ENOSYS", `the kernel layer runs on Linux only, this is ${process.platform}`);
  }
  const koffi = loadKoffi();
  const c = koffi.load(null);
  const func = (definition: string) => c.func(definition) as unknown;
  const send = c.func("intptr_t send(int fd, const void *data, size_t length, int flags)");
  const polled = new Set<KoffiPollHandle>(); // an unreferenced handle would be collected and stop reporting
  // While Node releases the environment of a process that ends by itself, descriptors still become ready, and a
  // callback would abort the process.
  process.once("exit", () => polled.forEach((handle) => handle.stop()));
  return {
    setns: func("int setns(int fd, int kind)") as Libc["setns"],
    unshare: func("int unshare(int flags)") as Libc["unshare"],
    ioctl: func("int ioctl(int fd, unsigned long request, unsigned long argument)") as Libc["ioctl"],
    socket: func("int socket(int family, int type, int protocol)") as Libc["socket"],
    bind: func("int bind(int fd, const void *address, uint32_t length)") as Libc["bind"],
    connect: func("int connect(int fd, const void *address, uint32_t length)") as Libc["connect"],
    listen: func("int listen(int fd, int backlog)") as Libc["listen"],
    accept4: func("int accept4(int fd, void *address, void *length, int flags)") as Libc["accept4"],
    getsockname: func("int getsockname(int fd, void *address, void *length)") as Libc["getsockname"],
    getsockopt: func(
      "int getsockopt(int fd, int level, int option, void *value, void *length)",
    ) as Libc["getsockopt"],
    setsockopt: func(
      "int setsockopt(int fd, int level, int option, const void *value, uint32_t length)",
    ) as Libc["setsockopt"],
    send: send as unknown as Libc["send"],
    recv: func("intptr_t recv(int fd, void *data, size_t length, int flags)") as Libc["recv"],
    sendmsg: func("intptr_t sendmsg(int fd, const void *message, int flags)") as Libc["sendmsg"],
    recvmsg: func("intptr_t recvmsg(int fd, void *message, int flags)") as Libc["recvmsg"],
    shutdown: func("int shutdown(int fd, int how)") as Libc["shutdown"],
    fcntl: func("int fcntl(int fd, int command, int argument)") as Libc["fcntl"],
    flock: func("int flock(int fd, int operation)") as Libc["flock"],
    statx: func(
      "int statx(int directory, const char *path, int flags, unsigned int mask, void *into)",
    ) as Libc["statx"],
    address: (buffer) => koffi.address(buffer),
    exitNow: func("void _exit(int status)") as Libc["exitNow"],
    errno: () => koffi.errno(),
    ...threads(c),
    sendAsync: (fd, data, length, flags) =>
      new Promise((resolve, reject) => {
        send.async(fd, data, length, flags, (error: unknown, result: number) => {
          if (error) reject(error instanceof Error ? error : new Error(String(error)));
          else resolve(result);
        });
      }),
    poll: (fd, interest, ready) => {
      let open = true;
      const called = (status: number): void => {
        if (open) ready(status < 0);
      };
      const handle = koffi.node.poll(fd, interest, called);
      polled.add(handle);
      return {
        ref: () => open && handle.ref(),
        unref: () => open && handle.unref(),
        watch: (other) => {
          if (!open) return;
          if (other.readable || other.writable) handle.start(other, called);
          else handle.stop();
        },
        close: () => {
          if (!open) return; // stopping or closing it twice ends the process
          open = false;
          polled.delete(handle);
          handle.stop();
          handle.close();
        },
      };
    },
  };
}
