/** Mechanism types and classes, payloads and parameter keys, spelled as in the protocol. */

/** Types of mechanism. */
export const MechanismType = {
  Kernel: "KERNEL",
  Memif: "MEMIF",
  Vfio: "VFIO",
  Noop: "NOOP",
  Vlan: "VLAN",
  Vxlan: "VXLAN",
  Wireguard: "WIREGUARD",
  Ipsec: "IPSEC",
} as const;

/** Whether a mechanism connects two processes on one machine (LOCAL) or on two (REMOTE). */
export const MechanismClass = { Local: "LOCAL", Remote: "REMOTE" } as const;

/** The kind of traffic that the vWire carries. */
export const Payload = { Ip: "IP", Ethernet: "ETHERNET" } as const;

/** Keys of `Mechanism.parameters`. */
export const Parameter = {
  /** The network namespace: `file:///path` in a process, `inode://dev/ino` beside a passed descriptor. */
  inodeUrl: "inodeURL",
  /** Name of the interface, up to 15 characters. */
  name: "name",
  vlan: "vlan",
} as const;

/** The kernel's limit on interface names (IFNAMSIZ without the terminating zero). */
export const MAX_INTERFACE_NAME = 15;
