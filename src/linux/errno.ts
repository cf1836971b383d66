import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { Code, NsmError } from "../core/index.js";

const names = new Map<number, string>(
  Object.entries(constants.errno).map(([name, errno]) => [errno, name === "EWOULDBLOCK" ? "EAGAIN" : name]),
);
names.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

const texts = new Map(getSystemErrorMap().values());

/** The kernel's refusals, sorted into the codes of this library. What is not listed is INTERNAL. */
const codes: Readonly<Record<string, Code>> = {
  EPERM: Code.PermissionDenied,
  EACCES: Code.PermissionDenied,
  EROFS: Code.PermissionDenied,
  ENOENT: Code.NotFound,
  ENODEV: Code.NotFound,
  ENXIO: Code.NotFound,
  ESRCH: Code.NotFound,
  ENOTDIR: Code.NotFound,
  EEXIST: Code.AlreadyExists,
  EADDRINUSE: Code.AlreadyExists,
  EINVAL: Code.InvalidArgument,
  EADDRNOTAVAIL: Code.InvalidArgument,
  ERANGE: Code.InvalidArgument,
  ENAMETOOLONG: Code.InvalidArgument,
  EISDIR: Code.InvalidArgument,
  ELOOP: Code.InvalidArgument,
  EAFNOSUPPORT: Code.Unimplemented,
  EOPNOTSUPP: Code.Unimplemented,
  EPROTONOSUPPORT: Code.Unimplemented,
  EPROTO: Code.Unimplemented,
  ENOSYS: Code.Unimplemented,
  ENOPROTOOPT: Code.Unimplemented,
  EAGAIN: Code.Unavailable,
  EBUSY: Code.Unavailable,
  EINTR: Code.Unavailable,
  ECONNREFUSED: Code.Unavailable,
  ENOMEM: Code.ResourceExhausted,
  EMSGSIZE: Code.ResourceExhausted,
  ENOBUFS: Code.ResourceExhausted,
  ENOSPC: Code.ResourceExhausted,
  EMFILE: Code.ResourceExhausted,
  ENFILE: Code.ResourceExhausted,
  EUSERS: Code.ResourceExhausted,
  ENETDOWN: Code.FailedPrecondition,
  ENETUNREACH: Code.FailedPrecondition,
  EHOSTUNREACH: Code.FailedPrecondition,
  ENOTCONN: Code.FailedPrecondition,
  ETIMEDOUT: Code.DeadlineExceeded,
};

/** A system call that the kernel refused: which one, and the errno with its name (`ENODEV`). */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** The errno's name, as in Node's own system errors. */
  readonly code: string;

  constructor(
    readonly syscall: string,
    readonly errno: number,
  ) {
    super(`${syscall}: ${errnoText(errnoName(errno))}`);
    this.code = errnoName(errno);
  }
}

/** The symbol of an errno: `errnoName(19)` is `"ENODEV"`. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** The kernel's errno as one of this library's codes. */
export function codeOfErrno(name: string): Code {
  return codes[name] ?? Code.Internal;
}

/** The errno's name in whatever a system call or a Node fs call threw, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && code.startsWith("E") ? code : undefined;
}

/** An errno for people: `no such device (ENODEV)`. */
export function errnoText(name: string): string {
  const text = name === "EOPNOTSUPP" ? "not supported" : texts.get(name);
  return text === undefined ? name : `${text} (${name})`;
}

/**
 * The error for something the kernel refused.
 *
 * @example
 * import { refusal } from "./errno.js";
 *
 * throw refusal("ENODEV", `no link "nsm-1" in net:[4026532]`);
 */
export function refusal(errno: string, sentence: string, cause?: unknown): NsmError {
  return new NsmError(codeOfErrno(errno), sentence, cause === undefined ? undefined : { cause });
}

/** What a process without privilege can do about it; the second half of every EPERM sentence. */
export function remedyFor(capability: string): string {
  return (
    `this process lacks ${capability}: run it as root, start its container with ` +
    `--cap-add ${capability.replace(/^CAP_/, "")}, or start it inside \`unshare -Urn\``
  );
}
