import { closeSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { Code, NsmError, type PeerProcess } from "../../core/index.js";
import { SOL_SOCKET } from "../constants.js";
import { errnoName, errnoText, refusal } from "../errno.js";
import { libc } from "../libc.js";

const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;
/** ioctl(2) of a pidfd, since Linux 6.11. */
const PIDFD_GET_NET_NAMESPACE = 0xff04;

/**
 * Describes the process at the other end of a connected unix socket.
 *
 * Source: unix(7), SO_PEERCRED and SO_PEERPIDFD; pidfd_open(2).
 *
 * @param socket - returns the descriptor of the socket. Throws if the socket is closed.
 */
export function peerProcess(socket: () => number): PeerProcess {
  let pid: number | undefined;
  return {
    get pid() {
      // struct ucred: pid, uid, gid, 4 bytes each.
      return (pid ??= option(socket(), SO_PEERCRED, 12).readInt32LE(0));
    },
    openNetworkNamespace() {
      const pidfd = openPeer(socket());
      try {
        return namespaceOf(pidfd);
      } finally {
        closeSync(pidfd);
      }
    },
  };
}

function openPeer(socket: number): number {
  try {
    return option(socket, SO_PEERPIDFD, 4).readInt32LE(0);
  } catch (error) {
    if ((error as NsmError).code !== Code.Unimplemented) throw error;
    throw new NsmError(
      Code.Unimplemented,
      "this kernel cannot identify the process at the other end of a unix socket: it needs Linux 6.5",
      { cause: error },
    );
  }
}

function namespaceOf(pidfd: number): number {
  const fd = libc().ioctl(pidfd, PIDFD_GET_NET_NAMESPACE, 0);
  if (fd >= 0) return fd;
  const errno = libc().errno();
  if (errno !== constants.errno.ENOTTY && errno !== constants.errno.EINVAL) throw failed(errnoName(errno));
  return namespaceByPid(pidfd);
}

/** For kernels before Linux 6.11. */
export function namespaceByPid(pidfd: number): number {
  const pid = pidOf(pidfd);
  if (pid === 0) {
    throw new NsmError(
      Code.PermissionDenied,
      "the process at the other end of the unix socket is in a PID namespace that is not visible from here",
    );
  }
  if (pid < 0) throw failed("ESRCH");
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/ns/net`, "r");
  } catch (error) {
    throw failed((error as NodeJS.ErrnoException).code ?? "EIO");
  }
  // If the process still exists, no other process had its pid when the file was opened.
  if (pidOf(pidfd) === pid) return fd;
  closeSync(fd);
  throw failed("ESRCH");
}

/** The pid of the process: 0 if it is not visible, -1 if the process has ended. */
function pidOf(pidfd: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8");
  return Number(/^Pid:\s*(-?\d+)$/m.exec(text)?.[1] ?? -1);
}

function option(socket: number, name: number, size: number): Buffer {
  const value = Buffer.alloc(size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  if (libc().getsockopt(socket, SOL_SOCKET, name, value, length) === 0) return value;
  throw failed(errnoName(libc().errno()));
}

function failed(errno: string): NsmError {
  const why = errno === "ESRCH" || errno === "ENOENT" ? "it has ended" : errnoText(errno);
  const text = `cannot inspect the process at the other end of the unix socket: ${why}`;
  return refusal(errno === "ENOENT" ? "ESRCH" : errno, text);
}
