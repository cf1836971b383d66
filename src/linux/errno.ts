import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { Code, NsmError } from "../core/index.js";

const names = new Map<number, string>(
  Object.entries(constants.errno).map(([name, errno]) => [errno, name === "EWOULDBLOCK" ? "EAGAIN" : name]),
);
names.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

const texts = new Map(getSystemErrorMap().values());

/** Maps the kernel's errors to the codes of this library. Unlisted errors map to INTERNAL. */
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

/** A failed system call, with the name of the call and its errno (`ENODEV`). */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** The name of the errno, as in Node's own system errors. */
  readonly code: string;

  constructor(
    readonly syscall: string,
    readonly errno: number,
  ) {
    super(`${syscall}: ${errnoText(errnoName(errno))}`);
    this.code = errnoName(errno);
  }
}

/** The name of an errno: `errnoName(19)` is `"ENODEV"`. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** Converts an errno to a code of this library. */
export function codeOfErrno(name: string): Code {
  return codes[name] ?? Code.Internal;
}

/** The errno name in an error of a system call or a Node fs call, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && code.startsWith("E") ? code : undefined;
}

/** The text of an errno: `no such device (ENODEV)`. */
export function errnoText(name: string): string {
  const text = name === "EOPNOTSUPP" ? "not supported" : texts.get(name);
  return text === undefined ? name : `${text} (${name})`;
}

/**
 * Creates the error for an operation that the kernel rejected.
 *
 * @example
 * import { refusal } from "./errno.js";
 *
 * throw refusal("ENODEV", `no link "nsm-1" in net:[4026532]`);
 */
export function refusal(errno: string, sentence: string, cause?: unknown): NsmError {
  return new NsmError(codeOfErrno(errno), sentence, cause === undefined ? undefined : { cause });
}

/** What an unprivileged process can do about EPERM. Second half of the error message. */
export function remedyFor(capability: string): string {
  return (
    `this process lacks ${capability}: run it as root, start its container with ` +
    `--cap-add ${capability.replace(/^CAP_/, "")}, or start it inside \`unshare -Urn\``
  );
}
