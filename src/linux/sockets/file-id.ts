import { statSync } from "node:fs";
import { check, libc } from "../libc.js";

const AT_EMPTY_PATH = 0x1000;
/** Uses what the kernel knows, and asks no file server, which may not answer. */
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_TYPE_AND_INODE = 0x101;

const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;

const status = Buffer.alloc(256);

/** What a descriptor refers to. */
export interface FileId {
  /** The name of the file between peers: `inode://<device>/<inode>`. */
  readonly url: string;
  /** The device of its file system. */
  readonly device: bigint;
  readonly isSocket: boolean;
}

/**
 * Identifies an open file without waiting for its file system.
 *
 * Source: statx(2); makedev(3) for the device number.
 *
 * @throws SystemCallError EBADF if the descriptor is not open
 */
export function fileId(fd: number): FileId {
  check("statx", libc().statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE_AND_INODE, status));
  const [major, minor] = [status.readUInt32LE(136), status.readUInt32LE(140)].map(BigInt) as [bigint, bigint];
  const device =
    (minor & 0xffn) | ((major & 0xfffn) << 8n) | ((minor & ~0xffn) << 12n) | ((major & ~0xfffn) << 32n);
  return {
    device,
    url: `inode://${device}/${status.readBigUInt64LE(32)}`,
    isSocket: (status.readUInt16LE(28) & S_IFMT) === S_IFSOCK,
  };
}

let deviceOfNamespaces: bigint | undefined;

/** The device of all namespace files: the kernel has one file system of them. No other file has this device. */
export function namespaceDevice(): bigint {
  return (deviceOfNamespaces ??= statSync("/proc/self/ns/net", { bigint: true }).dev);
}

/** The name of an open file between peers: `inode://<device>/<inode>`. */
export function inodeUrlOf(fd: number): string {
  return fileId(fd).url;
}
