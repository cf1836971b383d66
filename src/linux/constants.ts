/** Constants of the kernel's user API (include/uapi/linux) that several files use. */

export const CLONE_NEWNET = 0x40000000;
/** ioctl that returns the kind of a namespace, as its CLONE_ flag. */
export const NS_GET_NSTYPE = 0xb703;
/** open(2) flag for a descriptor that only refers to the file. Node's constants lack it. */
export const O_PATH = 0o10000000;

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const SOL_SOCKET = 1;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_TRUNC = 0x20;
